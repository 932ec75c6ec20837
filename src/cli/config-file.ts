import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';

/** A login: where the service is, and with which key. */
export type Profile = {
  url: string;
  apiKey: string;
  /** Absolute path of the certificate authority, when it is a private one. */
  caFile: string | null;
  tenantId: string;
  tenantName: string;
};

/** What `domicile login` keeps. `current` is the profile used when none is named. */
export type Config = { current: string; profiles: Record<string, Profile> };

/**
 * Reads the logins; no file is no logins.
 *
 * @throws Failure when the file cannot be read or is not ours
 */
export function readConfig(path: string): Config {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Config;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { current: 'default', profiles: {} };
    const why = error instanceof SyntaxError ? 'it is not JSON' : 'it cannot be read';
    throw new Failure(EXIT.usage, `${path} is unusable: ${why}`, {
      next: 'Correct it, or delete it and log in again.',
    });
  }
}

/** Writes the logins so that only their owner can read them, and so that a reader never sees half a file. */
export function writeConfig(path: string, config: Config): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}
