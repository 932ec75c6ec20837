import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { openKeysFile, recoveryOpener } from '../../vault/keys-file.ts';
import type { KeyOpener } from '../../vault/ports.ts';
import type { Context } from '../context.ts';
import { usageError } from '../failure.ts';

/** What opens data keys, and whose they are where that is known. */
export type Opener = { keys: KeyOpener; cell?: string; tenantId?: string };

export type KeyOptions = {
  keys?: string | undefined;
  recoveryKey?: string | undefined;
  passphraseFile?: string | undefined;
};

/** Where files are named from, and who is asked for a passphrase. */
type Surroundings = Pick<Context, 'folder' | 'askSecret'>;

function read({ folder }: Surroundings, file: string): string {
  try {
    return readFileSync(resolve(folder, file), 'utf8');
  } catch {
    throw usageError(`${file} cannot be read`);
  }
}

async function passphraseOf(around: Surroundings, file: string, passphraseFile: string | undefined): Promise<string> {
  if (passphraseFile !== undefined) return read(around, passphraseFile).replace(/\r?\n$/, '');
  const passphrase = await around.askSecret(`Passphrase of ${file}: `);
  if (passphrase === null) throw usageError(`${file} has a passphrase`, 'Hand it over with --passphrase-file.');
  return passphrase;
}

/** A recovery key from its file. Throws Failure for a file that is none, or does not open with its passphrase. */
async function openRecoveryKey(
  around: Surroundings,
  file: string,
  passphraseFile: string | undefined,
): Promise<KeyOpener> {
  const pem = read(around, file);
  const isEncrypted = /ENCRYPTED/.test(pem);
  const passphrase = isEncrypted ? await passphraseOf(around, file, passphraseFile) : undefined;
  try {
    return recoveryOpener(pem, passphrase);
  } catch (error) {
    const why = isEncrypted ? 'or its passphrase is another' : 'an RSA key of 3,072 bits or more in PEM';
    throw usageError(`${file} is no private recovery key (${why})`, error instanceof Error ? error.message : undefined);
  }
}

/** What the files that were named open; null: none was. Throws Failure for files that cannot be used. */
export async function openerOf(around: Surroundings, options: KeyOptions): Promise<Opener | null> {
  const { keys, recoveryKey, passphraseFile } = options;
  if (keys !== undefined && recoveryKey !== undefined)
    throw usageError('--keys and --recovery-key are two ways to do the same', 'Give one of them.');
  if (recoveryKey !== undefined) return { keys: await openRecoveryKey(around, recoveryKey, passphraseFile) };
  if (keys === undefined) return null;
  const { cell, tenantId, opener } = openKeysFile(read(around, keys));
  return { keys: opener, cell, tenantId };
}
