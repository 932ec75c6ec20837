import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { usageError } from '../failure.ts';
import { replaceFile } from './files.ts';

/** What an image is made from. A file that was begun from something else is not gone on with. */
export type ImageSource = { volumeId: string; runId: string; attempt: string; volumeBytes: number; blockBytes: number };

/** What is known of a file that was begun: all blocks below `from` are in it, durably. */
type ImageState = ImageSource & { format: string; from: number };

const FORMAT = 'domicile-restore/v1';

/** An image is written under the one name, and how far it came under the other. */
export const namesOf = (path: string) => ({ partial: `${path}.partial`, state: `${path}.partial.json` });

/** Takes down how far an image came. */
export async function saveState(path: string, source: ImageSource, from: number): Promise<void> {
  await replaceFile(
    namesOf(path).state,
    `${JSON.stringify({ ...source, format: FORMAT, from } satisfies ImageState)}\n`,
  );
}

async function readState(path: string): Promise<ImageState | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ImageState | null;
  } catch {
    return null; // Not there, or not ours: what lies beside it then decides.
  }
}

/** Where an earlier try ended. Throws Failure when there is something in the way that it did not leave. */
export async function findState(path: string, source: ImageSource): Promise<number> {
  const { partial, state: statePath } = namesOf(path);
  if (!existsSync(partial)) return 0;
  const state = await readState(statePath);
  const next = 'Give --force to begin anew, or name another file with --to.';
  if (state?.format !== FORMAT) throw usageError(`${partial} is in the way, and no restore has left it`, next);
  for (const name of ['volumeId', 'runId', 'attempt', 'volumeBytes', 'blockBytes'] as const)
    if (state[name] !== source[name])
      throw usageError(`${partial} was begun from another point: ${state.runId} of ${state.volumeId}`, next);
  const { size } = await stat(partial);
  const usable = size === source.volumeBytes && Number.isSafeInteger(state.from) && state.from >= 0;
  return usable ? state.from : 0;
}
