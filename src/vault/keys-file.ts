import { Fault } from '../core/faults.ts';
import { fromHex, toHex } from '../crypto/bytes.ts';
import { readRecoveryPrivateKey, readRecoveryPublicKey } from '../crypto/recovery-key.ts';
import { identityLabel } from './key-object.ts';
import { type KeyOpener, type KeyRecipient, RECIPIENT } from './ports.ts';

const KEYS_FORMAT = 'domicile-keys/v1';
const KEY_HEX = /^[0-9a-f]{64}$/;

type KeysFile = { format: string; cell: string; tenant: string; keys: Record<string, string> };

function parse(text: string): KeysFile {
  let file: Partial<KeysFile>;
  try {
    file = JSON.parse(text) as Partial<KeysFile>;
  } catch (cause) {
    throw new Fault('object_corrupt', 'The file of keys is not JSON.', { cause });
  }
  const { format, cell, tenant, keys } = file;
  if (format !== KEYS_FORMAT)
    throw new Fault('unsupported_format', `The file of keys is not of format ${KEYS_FORMAT}.`);
  if (cell === undefined || tenant === undefined || keys === undefined)
    throw new Fault('object_corrupt', 'The file of keys does not say of which cell and tenant.');
  return { format, cell, tenant, keys };
}

/**
 * Keys that were opened before, from a file (docs/format.md, "KEYS.json"): reads a vault without a key service.
 *
 * @throws Fault `object_corrupt`, `unsupported_format` for a file of another shape
 */
export function openKeysFile(text: string): { cell: string; tenantId: string; opener: KeyOpener } {
  const { cell, tenant: tenantId, keys } = parse(text);
  const byLabel = new Map<string, Uint8Array>();
  for (const [name, hex] of Object.entries(keys)) {
    const [, volumeId = '', , runId = '', attempt = '', key = ''] = name.split('/');
    if (!KEY_HEX.test(hex)) throw new Fault('object_corrupt', `The file of keys has no key for ${name}.`);
    byLabel.set(toHex(identityLabel({ cell, tenantId, volumeId, runId, attempt, key })), fromHex(hex));
  }
  const opener: KeyOpener = {
    opens: () => true,
    async unwrap(_wrapped, _context, label) {
      const key = byLabel.get(toHex(label));
      if (!key) throw new Fault('wrong_key', 'A stored key is not in the file of keys.');
      return key;
    },
  };
  return { cell, tenantId, opener };
}

/** The tenant's own offline recovery key as somebody every data key is wrapped for. Throws as `readRecoveryPublicKey`. */
export function recoveryRecipient(publicKeyPem: string): KeyRecipient {
  const { name, wrap } = readRecoveryPublicKey(publicKeyPem);
  return { kind: RECIPIENT.tenant, name, wrap: async (dataKey, _context, label) => wrap(dataKey, label) };
}

/** Its private half: opens everything that was sealed for it, with no service of anybody's. */
export function recoveryOpener(privateKeyPem: string, passphrase?: string): KeyOpener {
  const own = readRecoveryPrivateKey(privateKeyPem, passphrase);
  return {
    opens: ({ kind, name }) => kind === RECIPIENT.tenant && name === own.name,
    unwrap: async (wrapped, _context, label) => own.unwrap(wrapped, label),
  };
}
