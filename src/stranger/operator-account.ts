import { CreateRoleCommand, EntityAlreadyExistsException, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  KMSClient,
  NotFoundException,
} from '@aws-sdk/client-kms';
import {
  CreateBucketCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
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

type Statement = {
  Effect: 'Allow' | 'Deny';
  Action: string | string[];
  Resource: string | string[];
  Condition?: unknown;
};
const policy = (Statement: Statement[]) => JSON.stringify({ Version: '2012-10-17', Statement });

async function ensureRole(iam: IAMClient, RoleName: string, statements: Statement[]): Promise<void> {
  await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: ECS_TRUST })).catch((error: unknown) => {
    if (!(error instanceof EntityAlreadyExistsException)) throw error;
  });
  await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'tier', PolicyDocument: policy(statements) }));
}

async function ensureKey(kms: KMSClient, alias: string, keyPolicy: string): Promise<string> {
  try {
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: alias }));
    return KeyMetadata?.Arn ?? '';
  } catch (error) {
    if (!(error instanceof NotFoundException)) throw error;
  }
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: alias, Policy: keyPolicy }));
  await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: KeyMetadata?.KeyId }));
  return KeyMetadata?.Arn ?? '';
}

/** A key that the account administers through IAM, and that nobody but `decrypter` ever decrypts with. */
function keyPolicy(accountArn: string, decrypter: string): string {
  return JSON.stringify({
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
}

async function ensureBucket(s3: S3Client, bucket: string, awsRegion: string, workerArn: string): Promise<void> {
  const location =
    awsRegion === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint: awsRegion as 'eu-west-1' } };
  await s3.send(new CreateBucketCommand({ Bucket: bucket, ...location })).catch((error: unknown) => {
    if (!(error instanceof S3ServiceException && error.name === 'BucketAlreadyOwnedByYou')) throw error;
  });
  await s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Suspended' } }));
  const bucketArn = `arn:aws:s3:::${bucket}`;
  const createOnly = {
    Sid: 'CreateOnly',
    Effect: 'Deny',
    Principal: '*',
    Action: 's3:PutObject',
    Resource: `${bucketArn}/*`,
    Condition: { Null: { 's3:if-none-match': 'true' } },
  };
  const onlyTheWorker = {
    Sid: 'OnlyTheWorker',
    Effect: 'Deny',
    Principal: '*',
    Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
    Resource: `${bucketArn}/*`,
    Condition: { ArnNotEquals: { 'aws:PrincipalArn': workerArn } },
  };
  const document = { Version: '2012-10-17', Statement: [createOnly, onlyTheWorker] };
  await s3.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(document) }));
}

/**
 * What an operator prepares in a cell's own account: a principal for each tier, the *data* and the *token* key, and a
 * bucket that takes new objects only. The API tier may make data keys and encrypt; only the worker decrypts, reads the
 * bucket and assumes customers' roles. Safe to repeat.
 */
export async function prepareCellAccount(
  access: AwsAccess,
  cell: string,
  awsAccountId: string,
): Promise<CellResources> {
  const config = { endpoint: access.endpoint, region: access.awsRegion, credentials: access.credentials };
  const [iam, kms, s3] = [
    new IAMClient(config),
    new KMSClient(config),
    new S3Client({ ...config, forcePathStyle: true }),
  ];
  const names = { apiRoleName: `domicile-cell-${cell}-api`, connectorRoleName: `domicile-cell-${cell}-connector` };
  const connectorRoleArn = `arn:aws:iam::${awsAccountId}:role/${names.connectorRoleName}`;
  const accountArn = `arn:aws:iam::${awsAccountId}:root`;
  const dataKeyArn = await ensureKey(kms, `alias/domicile-${cell}-data`, keyPolicy(accountArn, connectorRoleArn));
  const tokenKeyArn = await ensureKey(kms, `alias/domicile-${cell}-token`, keyPolicy(accountArn, connectorRoleArn));
  const bucket = `domicile-${cell}-${awsAccountId}-vault`;
  await ensureBucket(s3, bucket, access.awsRegion, connectorRoleArn);
  const keys = [dataKeyArn, tokenKeyArn];
  await ensureRole(iam, names.apiRoleName, [
    { Effect: 'Allow', Action: ['kms:DescribeKey', 'kms:Encrypt', 'kms:GenerateDataKey'], Resource: keys },
    { Effect: 'Deny', Action: ['kms:Decrypt', 'kms:ReEncrypt*', 'sts:AssumeRole', 's3:*'], Resource: '*' },
  ]);
  await ensureRole(iam, names.connectorRoleName, [
    { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: 'arn:aws:iam::*:role/domicile-*' },
    { Effect: 'Allow', Action: ['kms:DescribeKey', 'kms:GenerateDataKey', 'kms:Decrypt'], Resource: dataKeyArn },
    { Effect: 'Allow', Action: ['s3:ListBucket', 's3:GetBucketLocation'], Resource: `arn:aws:s3:::${bucket}` },
    {
      Effect: 'Allow',
      Action: ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
      Resource: `arn:aws:s3:::${bucket}/*`,
    },
  ]);
  for (const client of [iam, kms, s3]) client.destroy();
  return { ...names, bucket, dataKeyArn, tokenKeyArn, connectorRoleArn };
}
