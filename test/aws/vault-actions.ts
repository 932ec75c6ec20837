import {
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { AssumeRoleCommand } from '@aws-sdk/client-sts';
import type { RegionalClients } from '../../src/aws/clients.ts';
import { vaultDocuments } from '../../src/aws/policies/vault-account.ts';
import { type VaultPrincipal, vaultRoleArn } from '../../src/aws/policies/vault-principals.ts';
import { CELL, type VaultWorld } from './vault-account.ts';

const DAY_MS = 86_400_000;
export const OURS = 'ten_eu_ours';
export const THEIRS = 'ten_eu_theirs';

/** An object of each kind by a name of its own, as the format names them. */
const NAMES = {
  pack: (n: string) => `packs/run-1/${n}/00000000-aa`,
  bundle: (n: string) => `index/run-1/${n}/00000000-aa`,
  root: (n: string) => `roots/run-${n}`,
  'index key': (n: string) => `keys/run-1/${n}/index`,
  'pack key': (n: string) => `keys/run-1/${n}/pack-000000`,
  checkpoint: (n: string) => `checkpoints/run-1/0000000001-${n}`,
  stranger: (n: string) => `notes/${n}`,
};
export type Kind = keyof typeof NAMES;
export type Purpose = 'pack' | 'index' | 'configuration';
type Stored = { Bucket: string; Key: string; VersionId: string | undefined; ETag: string | undefined };

/** What one caller tries. Every try has objects of its own, made by a writer beforehand. */
export type Attempt = (clients: RegionalClients) => Promise<unknown>;

/** All actions on a vault that an AWS account knows, as calls of the real SDK. */
export function actionsOn(vault: VaultWorld) {
  const { account } = vault;
  const { bucket: Bucket } = account;
  const [KeyId = ''] = account.dataKeyArns;
  const writers = { [OURS]: vault.as('writer', OURS), [THEIRS]: vault.as('writer', THEIRS) };
  type Tenant = keyof typeof writers;
  let made = 0;
  const nameOf = (kind: Kind, tenant: Tenant) => {
    made += 1;
    return `t/${tenant}/v1/vol-1/${NAMES[kind](String(made).padStart(6, '0'))}`;
  };
  const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);
  const compliance = { ObjectLockMode: 'COMPLIANCE', ChecksumAlgorithm: 'SHA256' } as const;

  async function stored(kind: Kind, tenant: Tenant): Promise<Stored> {
    const Key = nameOf(kind, tenant);
    const put = new PutObjectCommand({ Bucket, Key, Body: 'sealed', IfNoneMatch: '*' });
    const { VersionId, ETag } = await writers[tenant].s3.send(put);
    return { Bucket, Key, VersionId, ETag };
  }
  const contextOf = (purpose: Purpose, tenant: string, cell = CELL) => ({
    cell,
    tenant,
    volume: 'vol-1',
    run: 'run-1',
    purpose,
  });
  const generate = (clients: RegionalClients, EncryptionContext: Record<string, string>) =>
    clients.kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256', EncryptionContext }));

  return {
    read:
      (kind: Kind, tenant: Tenant = OURS): Attempt =>
      async ({ s3 }) => {
        const { Key } = await stored(kind, tenant);
        return s3.send(new GetObjectCommand({ Bucket, Key }));
      },
    /** A new object, with the condition that makes it new. */
    create:
      (kind: Kind, tenant: Tenant = OURS, more: Partial<PutObjectCommandInput> = { IfNoneMatch: '*' }): Attempt =>
      ({ s3 }) =>
        s3.send(new PutObjectCommand({ Bucket, Key: nameOf(kind, tenant), Body: 'sealed', ...more })),
    createLocked:
      (kind: Kind, days: number): Attempt =>
      ({ s3 }) =>
        s3.send(
          new PutObjectCommand({
            ...compliance,
            Bucket,
            Key: nameOf(kind, OURS),
            Body: 'sealed',
            IfNoneMatch: '*',
            ObjectLockRetainUntilDate: inDays(days),
          }),
        ),
    replace:
      (kind: Kind, conditional: boolean): Attempt =>
      async ({ s3 }) => {
        const { Key, ETag } = await stored(kind, OURS);
        const condition = conditional ? { IfMatch: ETag } : {};
        return s3.send(new PutObjectCommand({ Bucket, Key, Body: 'other', ...condition }));
      },
    copy: (kind: Kind): Attempt => {
      return async ({ s3 }) => {
        const { Key } = await stored(kind, OURS);
        const to = { Bucket, Key: nameOf(kind, OURS), IfNoneMatch: '*' };
        return s3.send(new CopyObjectCommand({ ...to, CopySource: `${Bucket}/${Key}` }));
      };
    },
    upload: (): Attempt => {
      return ({ s3 }) => s3.send(new CreateMultipartUploadCommand({ Bucket, Key: nameOf('pack', OURS) }));
    },
    remove:
      (kind: Kind, tenant: Tenant = OURS): Attempt =>
      async ({ s3 }) => {
        const { Key } = await stored(kind, tenant);
        return s3.send(new DeleteObjectCommand({ Bucket, Key }));
      },
    destroy:
      (kind: Kind, tenant: Tenant = OURS): Attempt =>
      async ({ s3 }) => {
        const { Key, VersionId } = await stored(kind, tenant);
        return s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
      },
    seeLock: (): Attempt => {
      return async ({ s3 }) => {
        const { Key } = await stored('pack', OURS);
        const Retention = { Mode: 'COMPLIANCE' as const, RetainUntilDate: inDays(1) };
        await writers[OURS].s3.send(
          new PutObjectRetentionCommand({ Bucket, Key, Retention, ChecksumAlgorithm: 'SHA256' }),
        );
        return s3.send(new GetObjectRetentionCommand({ Bucket, Key }));
      };
    },
    lock:
      (kind: Kind, days: number, tenant: Tenant = OURS): Attempt =>
      async ({ s3 }) => {
        const { Key } = await stored(kind, tenant);
        const Retention = { Mode: 'COMPLIANCE' as const, RetainUntilDate: inDays(days) };
        return s3.send(new PutObjectRetentionCommand({ Bucket, Key, Retention, ChecksumAlgorithm: 'SHA256' }));
      },
    list:
      (Prefix: string | undefined): Attempt =>
      ({ s3 }) =>
        s3.send(new ListObjectsV2Command({ Bucket, Prefix })),
    listVersions:
      (Prefix: string | undefined): Attempt =>
      ({ s3 }) =>
        s3.send(new ListObjectVersionsCommand({ Bucket, Prefix })),
    makeKey:
      (purpose: Purpose, tenant: string = OURS, cell = CELL): Attempt =>
      (clients) =>
        generate(clients, contextOf(purpose, tenant, cell)),
    makeKeyForAnything: (): Attempt => (clients) => generate(clients, {}),
    openKey:
      (purpose: Purpose, tenant: Tenant = OURS): Attempt =>
      async ({ kms }) => {
        const EncryptionContext = contextOf(purpose, tenant);
        const { CiphertextBlob } = await generate(writers[tenant], EncryptionContext);
        return kms.send(new DecryptCommand({ KeyId, CiphertextBlob, EncryptionContext }));
      },
    wrapKey:
      (purpose: Purpose, tenant: string = OURS): Attempt =>
      ({ kms }) =>
        kms.send(
          new EncryptCommand({
            KeyId,
            Plaintext: new Uint8Array(32),
            EncryptionContext: contextOf(purpose, tenant),
          }),
        ),
    become:
      (principal: VaultPrincipal): Attempt =>
      ({ sts }) =>
        sts.send(new AssumeRoleCommand({ RoleArn: vaultRoleArn(account, principal), RoleSessionName: 'test' })),
    seeBucket:
      (): Attempt =>
      ({ s3 }) =>
        s3.send(new GetBucketLocationCommand({ Bucket })),
    seeKey:
      (): Attempt =>
      ({ kms }) =>
        kms.send(new DescribeKeyCommand({ KeyId })),
    /** To what they are already: who may, changes nothing for the others. */
    changePolicies: (what: 'bucket' | 'key'): Attempt => {
      const { bucketPolicy, dataKeyPolicy } = vaultDocuments(account, 'unused');
      const Policy = JSON.stringify(what === 'bucket' ? bucketPolicy : dataKeyPolicy);
      return ({ s3, kms }) =>
        what === 'bucket'
          ? s3.send(new PutBucketPolicyCommand({ Bucket, Policy }))
          : kms.send(new PutKeyPolicyCommand({ KeyId, Policy }));
    },
  };
}
