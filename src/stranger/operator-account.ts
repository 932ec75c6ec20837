import {
  CreateRoleCommand,
  EntityAlreadyExistsException,
  IAMClient,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  KMSClient,
  NotFoundException,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  type LifecycleRule,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { AwsAccess } from './ebs-reader.ts';

export type CellResources = {
  bucket: string;
  dataKeyArn: string;
  tokenKeyArn: string;
  apiRoleName: string;
  connectorRoleName: string;
  connectorRoleArn: string;
};

const ECS_TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});

/** What the product asks its operator to put into the account, as data: none of it is the stranger's own. */
export type VaultDocuments = {
  roles: readonly { roleName: string; trustPolicy: unknown; policy: unknown }[];
  connectorPolicy: unknown;
  bucketPolicy: unknown;
  dataKeyPolicy: unknown;
};

async function ensureRole(iam: IAMClient, RoleName: string, policy: unknown, trust = ECS_TRUST): Promise<void> {
  await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust })).catch(async (error: unknown) => {
    if (!(error instanceof EntityAlreadyExistsException)) throw error;
    await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }));
  });
  const PolicyDocument = JSON.stringify(policy);
  await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'tier', PolicyDocument }));
}

/** The key of that alias; made where there is none. */
async function ensureKey(kms: KMSClient, alias: string): Promise<string> {
  try {
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: alias }));
    return KeyMetadata?.Arn ?? '';
  } catch (error) {
    if (!(error instanceof NotFoundException)) throw error;
  }
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: alias }));
  await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: KeyMetadata?.KeyId }));
  return KeyMetadata?.Arn ?? '';
}

const setKeyPolicy = (kms: KMSClient, KeyId: string, policy: unknown) =>
  kms.send(new PutKeyPolicyCommand({ KeyId, Policy: JSON.stringify(policy) }));

/** A key that the account administers through IAM, and that nobody but `decrypter` ever decrypts with. */
const tokenKeyPolicy = (accountArn: string, decrypter: string) => ({
  Version: '2012-10-17',
  Statement: [
    { Sid: 'Account', Effect: 'Allow', Principal: { AWS: accountArn }, Action: 'kms:*', Resource: '*' },
    {
      Sid: 'OnlyTheWorkerDecrypts',
      Effect: 'Deny',
      Principal: '*',
      Action: ['kms:Decrypt', 'kms:ReEncryptFrom'],
      Resource: '*',
      Condition: { ArnNotEquals: { 'aws:PrincipalArn': decrypter } },
    },
  ],
});

/** Makes tokens' keys, and touches nothing of the vault. */
const apiPolicy = (tokenKeyArn: string) => ({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Action: ['kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey'], Resource: tokenKeyArn },
    { Effect: 'Deny', Action: ['kms:Decrypt', 'kms:ReEncrypt*', 'sts:AssumeRole', 's3:*'], Resource: '*' },
  ],
});

/** How long what was deleted can be brought back: a day in the demo. Uploads that nobody ends go as soon. */
const UNDO_DAYS = 1;
const LIFECYCLE: LifecycleRule[] = [
  {
    ID: 'undo-window',
    Status: 'Enabled',
    Filter: { Prefix: '' },
    NoncurrentVersionExpiration: { NoncurrentDays: UNDO_DAYS },
    Expiration: { ExpiredObjectDeleteMarker: true },
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: UNDO_DAYS },
  },
];

/**
 * A bucket with versions and Object Lock, without a retention by default: keys must never be locked. One that was made without Object
 * Lock gets it now, which AWS allows since 2023. Source: S3 user guide, "Enabling Object Lock on an existing bucket".
 */
async function ensureBucket(s3: S3Client, Bucket: string, awsRegion: string): Promise<void> {
  const location =
    awsRegion === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint: awsRegion as 'eu-west-1' } };
  const create = new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true, ...location });
  await s3.send(create).catch((error: unknown) => {
    if (!(error instanceof S3ServiceException && error.name === 'BucketAlreadyOwnedByYou')) throw error;
  });
  await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled' as const };
  await s3.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
  const LifecycleConfiguration = { Rules: LIFECYCLE };
  await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
}

/**
 * What an operator prepares in a cell's own account: a principal for each tier, the *data* and the *token* key, a bucket, and the roles
 * and policies that the product wants for these (`documentsOf`). Safe to repeat: an account of an earlier version is brought up to date.
 */
export async function prepareCellAccount(
  access: AwsAccess,
  cell: string,
  awsAccountId: string,
  documentsOf: (vault: Pick<CellResources, 'bucket' | 'dataKeyArn' | 'connectorRoleArn'>) => VaultDocuments,
): Promise<CellResources> {
  const config = { endpoint: access.endpoint, region: access.awsRegion, credentials: access.credentials };
  const [iam, kms, s3] = [
    new IAMClient(config),
    new KMSClient(config),
    new S3Client({ ...config, forcePathStyle: true }),
  ];
  const names = { apiRoleName: `domicile-cell-${cell}-api`, connectorRoleName: `domicile-cell-${cell}-connector` };
  const connectorRoleArn = `arn:aws:iam::${awsAccountId}:role/${names.connectorRoleName}`;
  const dataKeyArn = await ensureKey(kms, `alias/domicile-${cell}-data`);
  const tokenKeyArn = await ensureKey(kms, `alias/domicile-${cell}-token`);
  const bucket = `domicile-${cell}-${awsAccountId}-vault`;
  await ensureBucket(s3, bucket, access.awsRegion);

  const documents = documentsOf({ bucket, dataKeyArn, connectorRoleArn });
  await ensureRole(iam, names.apiRoleName, apiPolicy(tokenKeyArn));
  await ensureRole(iam, names.connectorRoleName, documents.connectorPolicy);
  for (const { roleName, trustPolicy, policy } of documents.roles)
    await ensureRole(iam, roleName, policy, JSON.stringify(trustPolicy));
  await setKeyPolicy(kms, tokenKeyArn, tokenKeyPolicy(`arn:aws:iam::${awsAccountId}:root`, connectorRoleArn));
  await setKeyPolicy(kms, dataKeyArn, documents.dataKeyPolicy);
  await s3.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(documents.bucketPolicy) }));
  for (const client of [iam, kms, s3]) client.destroy();
  return { ...names, bucket, dataKeyArn, tokenKeyArn, connectorRoleArn };
}
