import { DecryptCommand, DescribeKeyCommand, GenerateDataKeyCommand, type KMSClient } from '@aws-sdk/client-kms';
import { Fault, isFault } from '../core/faults.ts';
import { type KeyContext, type KeyOpener, type KeyService, RECIPIENT } from '../vault/ports.ts';
import { toAwsFault } from './faults.ts';
import { regionOfKey } from './kms-arn.ts';

/** A key of the cell's own: when it refuses, that is ours to mend. */
export function keyFault(error: unknown, doing: string, awsRegion: string, which = "The cell's data key"): Fault {
  const fault = toAwsFault(error, doing, awsRegion);
  if (isFault(fault, 'wrong_key'))
    return new Fault('wrong_key', 'A stored key does not open for this tenant, volume and run.', { cause: fault });
  return new Fault('key_unavailable', `${which} cannot be used now to ${doing}.`, { cause: fault });
}

export const contextOf = ({ cell, tenant, volume, run, purpose }: KeyContext) => ({
  cell,
  tenant,
  volume,
  run,
  purpose,
});

/**
 * KMS as the engine's key service. The context is authenticated: a wrapped key opens for its own tenant, volume, run and
 * purpose only. `KeyId` is named on opening too, so that a blob of another key of ours is refused.
 *
 * @param former keys that open what they once wrapped, until all of it is wrapped anew
 */
export function openKeyService(
  kms: KMSClient,
  keyArn: string,
  awsRegion: string,
  former: readonly string[] = [],
): KeyService {
  const ours = [keyArn, ...former];
  async function decrypt(KeyId: string, wrapped: Uint8Array, context: KeyContext): Promise<Uint8Array> {
    try {
      const opened = await kms.send(
        new DecryptCommand({ KeyId, CiphertextBlob: wrapped, EncryptionContext: contextOf(context) }),
      );
      return opened.Plaintext ?? new Uint8Array();
    } catch (error) {
      throw keyFault(error, 'open a data key', awsRegion);
    }
  }
  return {
    recipient: { kind: RECIPIENT.cell, name: keyArn },
    // A copy elsewhere is opened with that region's key: whichever kind it was wrapped as, its ARN is its own.
    opens: ({ kind, name }) => kind !== RECIPIENT.tenant && ours.includes(name),
    async generate(context) {
      try {
        const made = await kms.send(
          new GenerateDataKeyCommand({ KeyId: keyArn, KeySpec: 'AES_256', EncryptionContext: contextOf(context) }),
        );
        return { key: made.Plaintext ?? new Uint8Array(), wrapped: made.CiphertextBlob ?? new Uint8Array() };
      } catch (error) {
        throw keyFault(error, 'make a data key', awsRegion);
      }
    },
    async unwrap(wrapped, context, _label, name) {
      let failure: unknown = new Fault('wrong_key', 'A stored key was not sealed for a key of this cell.');
      for (const arn of ours.filter((one) => name === undefined || one === name)) {
        try {
          return await decrypt(arn, wrapped, context);
        } catch (error) {
          if (!isFault(error, 'wrong_key')) throw error;
          failure = error;
        }
      }
      throw failure;
    },
  };
}

/**
 * Opens what any key of KMS has wrapped that the credentials behind `kmsOf` may use: for a reader who does not know the keys of a
 * vault beforehand. A key outside the cell's jurisdiction is not asked.
 *
 * @param kmsOf throws Fault `residency_violation` for such a region
 */
export function openAnyKey(kmsOf: (cell: string, awsRegion: string) => KMSClient): KeyOpener {
  return {
    opens: ({ kind, name }) => kind !== RECIPIENT.tenant && regionOfKey(name) !== undefined,
    async unwrap(wrapped, context, _label, name) {
      const awsRegion = regionOfKey(name) ?? '';
      return openKeyService(kmsOf(context.cell, awsRegion), name, awsRegion).unwrap(wrapped, context);
    },
  };
}

/** States in which a key does nothing until somebody changes that. Source: KMS developer guide, "Key states of KMS keys". */
const UNUSABLE = new Set([
  'Creating',
  'Disabled',
  'PendingDeletion',
  'PendingImport',
  'PendingReplicaDeletion',
  'Unavailable',
]);

/**
 * Has somebody taken the key out of use? Not answering is no answer to that.
 *
 * @returns the state, null when it can be used. @throws Fault `key_unavailable` when KMS does not say
 */
export async function unusableState(
  kms: KMSClient,
  { keyArn, awsRegion }: { keyArn: string; awsRegion: string },
  abortSignal?: AbortSignal,
): Promise<string | null> {
  try {
    const look = new DescribeKeyCommand({ KeyId: keyArn });
    const { KeyMetadata } = await kms.send(look, abortSignal ? { abortSignal } : {});
    const state = KeyMetadata?.KeyState ?? 'unknown';
    return UNUSABLE.has(state) ? state : null;
  } catch (error) {
    throw keyFault(error, 'look at the key', awsRegion);
  }
}

/** Can the key be used? Throws Fault `key_unavailable`. */
export async function checkKey(kms: KMSClient, keyArn: string, awsRegion: string): Promise<void> {
  const state = await unusableState(kms, { keyArn, awsRegion });
  if (state !== null) throw new Fault('key_unavailable', `The data key is ${state}.`);
}
