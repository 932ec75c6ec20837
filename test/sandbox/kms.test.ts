import {
  CreateKeyCommand,
  DecryptCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  KMSClient,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { describe, expect, test } from 'vitest';
import { errorOf, openSandbox } from './support.ts';

async function world() {
  const { control, endpoint } = await openSandbox();
  const credentials = await control.account('111111111111');
  const kms = new KMSClient({ endpoint, region: 'eu-central-1', credentials });
  const KeyId = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
  return { kms, KeyId, endpoint, control, credentials };
}
const context = { tenant: 'ten_1', purpose: 'pack' };

describe('KMS', () => {
  test('a data key opens with the same context only', async () => {
    const { kms, KeyId } = await world();
    const made = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', EncryptionContext: context }));
    const CiphertextBlob = made.CiphertextBlob;
    const opened = await kms.send(
      new DecryptCommand({ KeyId, CiphertextBlob, EncryptionContext: { purpose: 'pack', tenant: 'ten_1' } }),
    );
    expect(opened.Plaintext).toEqual(made.Plaintext);
    for (const other of [
      {},
      { tenant: 'ten_2', purpose: 'pack' },
      { tenant: 'ten_1' },
      { ...context, more: 'x' },
      { Tenant: 'ten_1', purpose: 'pack' },
    ]) {
      expect(await errorOf(kms.send(new DecryptCommand({ KeyId, CiphertextBlob, EncryptionContext: other })))).toBe(
        'InvalidCiphertextException',
      );
    }
  });

  test('a dry run says whether the key could be used, and gives no data key', async () => {
    const { kms, KeyId } = await world();
    const ask = () => errorOf(kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', DryRun: true })));
    expect(await ask()).toBe('DryRunOperationException');
    await kms.send(new DisableKeyCommand({ KeyId }));
    expect(await ask()).toBe('DisabledException');
  });

  test('a damaged ciphertext does not open', async () => {
    const { kms, KeyId } = await world();
    const { CiphertextBlob = new Uint8Array() } = await kms.send(
      new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }),
    );
    const damaged = Uint8Array.from(CiphertextBlob, (byte, i) => (i === CiphertextBlob.length - 1 ? byte ^ 1 : byte));
    expect(await errorOf(kms.send(new DecryptCommand({ CiphertextBlob: damaged })))).toBe('InvalidCiphertextException');
  });

  test('a key that did not encrypt is refused', async () => {
    const { kms, KeyId } = await world();
    const other = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }));
    expect(await errorOf(kms.send(new DecryptCommand({ KeyId: other, CiphertextBlob })))).toBe('IncorrectKeyException');
  });

  test('a disabled key and one pending deletion refuse', async () => {
    const { kms, KeyId } = await world();
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }));
    await kms.send(new DisableKeyCommand({ KeyId }));
    expect(await errorOf(kms.send(new DecryptCommand({ CiphertextBlob })))).toBe('DisabledException');
    await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
    expect(await errorOf(kms.send(new DecryptCommand({ CiphertextBlob })))).toBe('KMSInvalidStateException');
  });

  test('a key of another region is not found', async () => {
    const { KeyId, endpoint, credentials } = await world();
    const elsewhere = new KMSClient({ endpoint, region: 'us-east-1', credentials });
    expect(await errorOf(elsewhere.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' })))).toBe(
      'NotFoundException',
    );
  });

  test('a key policy refuses even the account that owns the key', async () => {
    const { kms } = await world();
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::111111111111:root' }, Action: 'kms:*', Resource: '*' },
        { Effect: 'Deny', Principal: '*', Action: 'kms:Decrypt', Resource: '*' },
      ],
    });
    const KeyId = (await kms.send(new CreateKeyCommand({ Policy }))).KeyMetadata?.Arn ?? '';
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret') }));
    expect(await errorOf(kms.send(new DecryptCommand({ CiphertextBlob })))).toBe('AccessDeniedException');
  });

  test('another account may not use a key that does not name it', async () => {
    const { KeyId, endpoint, control } = await world();
    const stranger = new KMSClient({
      endpoint,
      region: 'eu-central-1',
      credentials: await control.account('222222222222'),
    });
    expect(await errorOf(stranger.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' })))).toBe(
      'AccessDeniedException',
    );
  });

  test('re-encryption moves a ciphertext to another key and context', async () => {
    const { kms, KeyId } = await world();
    const to = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? '';
    const { CiphertextBlob } = await kms.send(
      new EncryptCommand({ KeyId, Plaintext: Buffer.from('secret'), EncryptionContext: context }),
    );
    const moved = await kms.send(
      new ReEncryptCommand({
        CiphertextBlob,
        SourceEncryptionContext: context,
        DestinationKeyId: to,
        DestinationEncryptionContext: { a: 'b' },
      }),
    );
    const opened = await kms.send(
      new DecryptCommand({ KeyId: to, CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { a: 'b' } }),
    );
    expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe('secret');
  });
});
