import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from '@commander-js/extra-typings';
import type { Request } from '../api-client.ts';

type Selection = NonNullable<Request<'POST /v1/backup-plans/{id}/selections'>['body']>;
type TagPattern = { key: string; value?: string };

/**
 * An expression from the command line: JSON, or `@` and the file that holds it. The service says what is wrong with it.
 *
 * @throws InvalidArgumentError where it cannot be read, or is no JSON object
 */
export function parseExpression(text: string): NonNullable<Selection['match']> {
  try {
    const value: unknown = JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text);
    if (typeof value !== 'object' || value === null) throw new Error('It must be a JSON object.');
    return value;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : 'It cannot be read.');
  }
}

/** Collects tags. One without a value stands for every value. */
export function collectTagPatterns(text: string, before: TagPattern[] | undefined): TagPattern[] {
  const at = text.indexOf('=');
  if (text === '' || at === 0) throw new InvalidArgumentError('It must be key or key=value.');
  const pattern = at < 0 ? { key: text } : { key: text.slice(0, at), value: text.slice(at + 1) };
  return [...(before ?? []), pattern];
}

/** The rules that leave out volumes; undefined without any. */
export function volumeRules(options: {
  excludeDevice?: string[] | undefined;
  excludeVolumeTag?: TagPattern[] | undefined;
  excludeRoot?: true | undefined;
}): Selection['excludeVolumes'] {
  const rules = [
    ...(options.excludeDevice ?? []).map((deviceName) => ({ deviceName })),
    ...(options.excludeVolumeTag ?? []).map((tag) => ({ tag })),
    ...(options.excludeRoot ? [{ root: true as const }] : []),
  ];
  return rules.length > 0 ? rules : undefined;
}
