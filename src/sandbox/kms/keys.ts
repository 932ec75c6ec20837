import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { AwsError } from '../service.ts';

export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion';
export type KmsKey = {
  keyId: string;
  arn: string;
  accountId: string;
  awsRegion: string;
  description: string;
  policy: string;
  state: KeyState;
  deletionDate: string | null;
  rotation: boolean;
  manager: 'CUSTOMER' | 'AWS';
  material: string;
  createdAt: string;
};
type State = { keys: Record<string, KmsKey>; aliases: Record<string, string> };

const MAGIC = 'SBX1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The context as bytes that both sides agree on: pairs in order of their names. */
function aad(keyId: string, context: Record<string, string>): Buffer {
  const pairs = Object.entries(context).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(JSON.stringify([keyId, pairs]));
}

/** A ciphertext that names its key, so that Decrypt needs no KeyId: magic, key id, nonce, sealed data. */
export function encryptUnder(key: KmsKey, plaintext: Buffer, context: Record<string, string>): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key.material, 'base64'), nonce);
  cipher.setAAD(aad(key.keyId, context));
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return Buffer.concat([Buffer.from(MAGIC), Buffer.from(key.keyId), nonce, sealed]);
}

const invalidCiphertext = () => new AwsError('InvalidCiphertextException', 400, '');

/** Id of the key that a ciphertext names. */
export function keyIdOf(blob: Buffer): string {
  if (blob.length < 4 + 36 + NONCE_BYTES + TAG_BYTES || blob.toString('latin1', 0, 4) !== MAGIC)
    throw invalidCiphertext();
  return blob.toString('latin1', 4, 40);
}

export function decryptUnder(key: KmsKey, blob: Buffer, context: Record<string, string>): Buffer {
  const nonce = blob.subarray(40, 40 + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key.material, 'base64'), nonce);
  decipher.setAAD(aad(key.keyId, context));
  decipher.setAuthTag(blob.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(blob.subarray(40 + NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    throw invalidCiphertext();
  }
}

const partitionOf = (awsRegion: string) => (awsRegion.startsWith('eusc-') ? 'aws-eusc' : 'aws');

/** The policy of an AWS managed EBS key: everyone in the account, but only by way of EC2. */
function ebsKeyPolicy(accountId: string, awsRegion: string): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'Allow access through EBS for all principals in the account that are authorized to use EBS',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: [
          'kms:Encrypt',
          'kms:Decrypt',
          'kms:ReEncrypt*',
          'kms:GenerateDataKey*',
          'kms:CreateGrant',
          'kms:DescribeKey',
        ],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:CallerAccount': accountId, 'kms:ViaService': `ec2.${awsRegion}.amazonaws.com` },
        },
      },
    ],
  });
}

type NewKey = Pick<KmsKey, 'accountId' | 'awsRegion' | 'description' | 'policy'> & { manager?: KmsKey['manager'] };

function newKey(options: NewKey, clock: Clock): KmsKey {
  const keyId = randomUUID();
  const { accountId, awsRegion } = options;
  return {
    keyId,
    arn: `arn:${partitionOf(awsRegion)}:kms:${awsRegion}:${accountId}:key/${keyId}`,
    state: 'Enabled',
    deletionDate: null,
    rotation: false,
    material: randomBytes(32).toString('base64'),
    createdAt: clock.now().toISOString(),
    manager: 'CUSTOMER',
    ...options,
  };
}

/** KMS keys and aliases, with their state in one file. */
export function createKeyStore(dir: string, clock: Clock) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, 'keys.json');
  const state: State = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { keys: {}, aliases: {} };
  let dirty = false;
  const aliasId = (accountId: string, awsRegion: string, alias: string) => `${accountId}/${awsRegion}/${alias}`;
  const store = {
    changed() {
      dirty = true;
    },
    create(options: NewKey): KmsKey {
      const key = newKey(options, clock);
      state.keys[key.keyId] = key;
      dirty = true;
      return key;
    },
    byId: (keyId: string): KmsKey | undefined => state.keys[keyId],
    all: () => Object.values(state.keys),
    setAlias(accountId: string, awsRegion: string, alias: string, keyId: string): boolean {
      const id = aliasId(accountId, awsRegion, alias);
      if (state.aliases[id]) return false;
      state.aliases[id] = keyId;
      dirty = true;
      return true;
    },
    aliases: (accountId: string, awsRegion: string) =>
      Object.entries(state.aliases)
        .filter(([id]) => id.startsWith(`${accountId}/${awsRegion}/`))
        .map(([id, keyId]) => ({ name: id.split('/').slice(2).join('/'), keyId })),
    /** A key by id, ARN, alias or alias ARN, as seen from an account and region. */
    find(name: string, accountId: string, awsRegion: string): KmsKey | undefined {
      const arn = /^arn:[a-z-]+:kms:([a-z0-9-]+):(\d{12}):(key|alias)\/(.+)$/.exec(name);
      const [region, account] = arn ? [arn[1] ?? '', arn[2] ?? ''] : [awsRegion, accountId];
      const alias = name.startsWith('alias/') ? name : arn?.[3] === 'alias' ? `alias/${arn[4]}` : null;
      const keyId = alias === null ? (arn?.[4] ?? name) : state.aliases[aliasId(account, region, alias)];
      const key = state.keys[keyId ?? ''];
      return key && key.awsRegion === awsRegion && key.awsRegion === region && key.accountId === account
        ? key
        : undefined;
    },
    /** The account's default EBS key in a region, made when first asked for. */
    defaultEbsKey(accountId: string, awsRegion: string): KmsKey {
      const known = store.find('alias/aws/ebs', accountId, awsRegion);
      if (known) return known;
      const policy = ebsKeyPolicy(accountId, awsRegion);
      const key = store.create({
        accountId,
        awsRegion,
        description: 'Default key that protects EBS volumes',
        policy,
        manager: 'AWS',
      });
      store.setAlias(accountId, awsRegion, 'alias/aws/ebs', key.keyId);
      return key;
    },
    save(): void {
      if (!dirty) return;
      dirty = false;
      writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
  return store;
}

export type KeyStore = ReturnType<typeof createKeyStore>;
