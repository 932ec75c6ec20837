import { createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { usageError } from './failure.ts';

const MAKE = 'Make a pair: see domicile recovery-key set --help';

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw usageError(`${file} cannot be read`, MAKE);
  }
}

/**
 * The public half of a recovery key, from its file, and its fingerprint, computed here: the service's answer is held to it. A
 * private key is not sent anywhere.
 *
 * @throws Failure (usage) for everything but one public key
 */
export function readRecoveryKeyFile(file: string): { publicKey: string; fingerprint: string } {
  const text = readText(file);
  if (/PRIVATE KEY/i.test(text))
    throw usageError(`${file} holds a private key: it was not sent, keep it to yourself`, MAKE);
  if (!text.trim().startsWith('-----BEGIN PUBLIC KEY-----'))
    throw usageError(`${file} holds no public key in PEM`, MAKE);
  try {
    const der = createPublicKey(text).export({ type: 'spki', format: 'der' });
    return { publicKey: text, fingerprint: createHash('sha256').update(der).digest('hex') };
  } catch {
    throw usageError(`${file} holds no public key that can be read`, MAKE);
  }
}
