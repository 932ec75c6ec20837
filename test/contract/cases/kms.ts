import {
  CancelKeyDeletionCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { agrees, type Case, refuses } from '../case.ts';
import type { Lab } from '../lab.ts';

const DECRYPT = 'KMS API reference, Decrypt';
const DATA_KEY = 'KMS API reference, GenerateDataKey';
const STATES = 'KMS guide, "Key states of AWS KMS keys"';
const context = { tenant: 'ten_1', purpose: 'pack' };

const wrapped = (lab: Lab) =>
  lab.once('wrapped', async () => {
    const KeyId = await lab.sharedKey();
    return lab.kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', EncryptionContext: context }));
  });
const open = async (lab: Lab, EncryptionContext?: Record<string, string>, KeyId?: string) => {
  const { CiphertextBlob, KeyId: own } = await wrapped(lab);
  return lab.kms.send(
    new DecryptCommand({ CiphertextBlob, KeyId: KeyId ?? own, ...(EncryptionContext ? { EncryptionContext } : {}) }),
  );
};
/** A key in a state, and a ciphertext of it from before. */
const inState = (lab: Lab, state: 'disabled' | 'pending') =>
  lab.once(`key ${state}`, async () => {
    const KeyId = await lab.key();
    const { CiphertextBlob } = await lab.kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }));
    await (state === 'disabled'
      ? lab.kms.send(new DisableKeyCommand({ KeyId }))
      : lab.kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 })));
    return { KeyId, CiphertextBlob };
  });

export const KMS_CASES: readonly Case[] = [
  refuses('kms-context-wrong', ['another encryption context', DECRYPT], 'InvalidCiphertextException', (lab) =>
    open(lab, { ...context, tenant: 'ten_2' }),
  ),
  refuses('kms-context-missing', ['no encryption context', DECRYPT], 'InvalidCiphertextException', (lab) => open(lab)),
  refuses('kms-context-more', ['a context with one pair more', DECRYPT], 'InvalidCiphertextException', (lab) =>
    open(lab, { ...context, more: 'x' }),
  ),
  refuses('kms-context-case', ['a context in other case', DECRYPT], 'InvalidCiphertextException', (lab) =>
    open(lab, { tenant: 'TEN_1', purpose: 'pack' }),
  ),
  refuses('kms-other-key', ['a ciphertext of another key than named', DECRYPT], 'IncorrectKeyException', async (lab) =>
    open(lab, context, await lab.key()),
  ),
  refuses('kms-disabled', ['decrypting under a disabled key', STATES], 'DisabledException', async (lab) =>
    lab.kms.send(new DecryptCommand(await inState(lab, 'disabled'))),
  ),
  refuses('kms-disabled-new', ['a data key of a disabled key', STATES], 'DisabledException', async (lab) =>
    lab.kms.send(new GenerateDataKeyCommand({ KeyId: (await inState(lab, 'disabled')).KeyId, KeySpec: 'AES_256' })),
  ),
  refuses(
    'kms-pending-deletion',
    ['decrypting under a key that is to be deleted', STATES],
    'KMSInvalidStateException',
    async (lab) => lab.kms.send(new DecryptCommand(await inState(lab, 'pending'))),
  ),
  refuses(
    'kms-ciphertext-garbage',
    ['bytes that KMS did not make', DECRYPT],
    'InvalidCiphertextException',
    async (lab) =>
      lab.kms.send(new DecryptCommand({ KeyId: await lab.sharedKey(), CiphertextBlob: Buffer.alloc(200, 7) })),
  ),
  refuses(
    'kms-encrypt-long',
    ['more than 4,096 bytes to encrypt', 'KMS API reference, Encrypt'],
    'ValidationException',
    async (lab) => lab.kms.send(new EncryptCommand({ KeyId: await lab.sharedKey(), Plaintext: Buffer.alloc(4_097) })),
  ),
  refuses(
    'kms-key-unknown',
    ['a key that does not exist', 'KMS API reference, DescribeKey'],
    'NotFoundException',
    (lab) => lab.kms.send(new DescribeKeyCommand({ KeyId: '00000000-0000-4000-8000-000000000000' })),
  ),
  refuses(
    'kms-window-short',
    ['a deletion within less than seven days', 'KMS API reference, ScheduleKeyDeletion'],
    'ValidationException',
    async (lab) =>
      lab.kms.send(new ScheduleKeyDeletionCommand({ KeyId: await lab.sharedKey(), PendingWindowInDays: 6 })),
  ),
  refuses(
    'kms-dry-run',
    ['a dry run that would have succeeded ends in an error', 'KMS guide, "Testing your permissions"'],
    ['DryRunOperationException', 'DryRunOperation'],
    async (lab) =>
      lab.kms.send(
        new GenerateDataKeyWithoutPlaintextCommand({ KeyId: await lab.sharedKey(), KeySpec: 'AES_256', DryRun: true }),
      ),
  ),
  agrees('kms-data-key', ['a data key has 256 bits', DATA_KEY], wrapped, (answer) => answer.Plaintext?.length === 32),
  agrees(
    'kms-decrypt',
    ['the same context, in another order', DECRYPT],
    (lab) => open(lab, { purpose: 'pack', tenant: 'ten_1' }),
    (answer) => answer.Plaintext?.length === 32,
  ),
  agrees(
    'kms-decrypt-names-key',
    ['decrypting names the key that it used', DECRYPT],
    (lab) => open(lab, context),
    (answer) => /:key\//.test(answer.KeyId ?? ''),
  ),
  agrees(
    'kms-without-plaintext',
    ['a data key without its plaintext', 'KMS API reference, GenerateDataKeyWithoutPlaintext'],
    async (lab) =>
      lab.kms.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId: await lab.sharedKey(), KeySpec: 'AES_256' })),
    (answer) => (answer.CiphertextBlob?.length ?? 0) > 0 && !('Plaintext' in answer),
  ),
  agrees(
    'kms-re-encrypt',
    ['re-encrypting under another key', 'KMS API reference, ReEncrypt'],
    async (lab) => {
      const { CiphertextBlob } = await wrapped(lab);
      const DestinationKeyId = await lab.key();
      return lab.kms.send(
        new ReEncryptCommand({
          CiphertextBlob,
          SourceEncryptionContext: context,
          DestinationKeyId,
          DestinationEncryptionContext: context,
        }),
      );
    },
    (answer) => answer.KeyId !== answer.SourceKeyId,
  ),
  agrees(
    'kms-enabled-again',
    ['a key that was enabled again opens its old ciphertexts', STATES],
    async (lab) => {
      const KeyId = await lab.key();
      const { CiphertextBlob } = await lab.kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }));
      await lab.kms.send(new DisableKeyCommand({ KeyId }));
      await lab.kms.send(new EnableKeyCommand({ KeyId }));
      return lab.soon(() => lab.kms.send(new DecryptCommand({ KeyId, CiphertextBlob })));
    },
    (answer) => Buffer.from(answer.Plaintext ?? []).toString() === 'secret',
  ),
  agrees(
    'kms-deletion-cancelled',
    ['a cancelled deletion leaves the key disabled', 'KMS API reference, CancelKeyDeletion'],
    async (lab) => {
      const KeyId = await lab.key();
      await lab.kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
      await lab.kms.send(new CancelKeyDeletionCommand({ KeyId }));
      return lab.kms.send(new DescribeKeyCommand({ KeyId }));
    },
    (answer) => answer.KeyMetadata?.KeyState === 'Disabled',
  ),
];
