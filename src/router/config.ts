import { readFileSync } from 'node:fs';
import { isCellCode } from '../core/ids.ts';
import type { SigningKey } from '../core/http-signature.ts';
import { parseSigningKey } from './signing-key.ts';

export type RouterConfig = {
  host: string;
  port: number;
  cells: Record<string, string>;
  signingKey: SigningKey;
  cellCa: string | null;
};

/** Addresses of the cells by code, as `{"eu":"https://…"}`: origins only, and never plain HTTP, for credentials go there. */
function parseCells(text: string): Record<string, string> {
  const parsed: unknown = JSON.parse(text);
  const cells = Object.entries(Object(parsed) as Record<string, unknown>);
  const sound = ([code, url]: [string, unknown]) =>
    isCellCode(code) && typeof url === 'string' && /^https:\/\/[^/?#@]+\/?$/.test(url) && URL.canParse(url);
  if (cells.length === 0 || !cells.every(sound)) throw new Error('is not an object of cell codes and https:// origins');
  return Object.fromEntries(cells) as Record<string, string>;
}

/**
 * The router's settings, from its environment.
 *
 * @throws Error naming every setting that is missing or wrong
 */
export function readConfig(env: Record<string, string | undefined>): RouterConfig {
  const problems: string[] = [];
  const attempt = <T>(name: string, read: () => T, fallback: T): T => {
    try {
      return read();
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message : 'is wrong'}`);
      return fallback;
    }
  };
  const required = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error('is missing');
    return value;
  };
  const host = env['HOST'] ?? '127.0.0.1';
  if (host !== '127.0.0.1' && host !== '::1' && env['ALLOW_PUBLIC_LISTENER'] !== 'yes') {
    problems.push(
      'HOST: the router speaks plain HTTP and listens on loopback only; put TLS before it and set ALLOW_PUBLIC_LISTENER=yes',
    );
  }
  const port = Number(env['PORT'] ?? 8080);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) problems.push('PORT: is not a port');
  const cells = attempt('CELLS', () => parseCells(required('CELLS')), {});
  const signingKey = attempt(
    'ROUTER_SIGNING_KEY_FILE',
    () => parseSigningKey(readFileSync(required('ROUTER_SIGNING_KEY_FILE'), 'utf8')),
    { keyId: '', privateKey: {} },
  );
  const caFile = env['CELL_CA_FILE'];
  const cellCa = caFile === undefined ? null : attempt('CELL_CA_FILE', () => readFileSync(caFile, 'utf8'), null);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return { host, port, cells, signingKey, cellCa };
}
