import { EncryptCommand, type KMSClient } from '@aws-sdk/client-kms';
import type { KeyRecipient } from '../vault/ports.ts';
import { contextOf, keyFault } from './kms-keys.ts';

/**
 * A key of KMS as somebody whom data keys are wrapped for, bound to the same context as those that it makes itself: what it wraps,
 * `openKeyService` of the same key opens.
 *
 * @throws (each wrap) Fault `key_unavailable`
 */
export function kmsRecipient(
  kms: KMSClient,
  { kind, keyArn, awsRegion }: { kind: number; keyArn: string; awsRegion: string },
): KeyRecipient {
  return {
    kind,
    name: keyArn,
    async wrap(dataKey, context) {
      const wrap = new EncryptCommand({ KeyId: keyArn, Plaintext: dataKey, EncryptionContext: contextOf(context) });
      try {
        return (await kms.send(wrap)).CiphertextBlob ?? new Uint8Array();
      } catch (error) {
        throw keyFault(error, 'wrap a data key', awsRegion, `The key in ${awsRegion}`);
      }
    },
  };
}
