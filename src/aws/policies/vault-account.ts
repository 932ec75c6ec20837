import { type PolicyDocument, policyDocument } from './document.ts';
import {
  SERVICE_PRINCIPALS,
  VAULT_PRINCIPALS,
  type VaultAccount,
  type VaultRole,
  vaultRoleArn,
  vaultRoles,
} from './vault-principals.ts';

const EVERYBODY = { AWS: '*' };

/**
 * The worker tier's own rights: to become one of the vault's principals or a customer's role, and to see that bucket and key are there.
 * It reads, writes and decrypts nothing as itself.
 */
function connectorPolicy(account: VaultAccount): PolicyDocument {
  const { partition, bucket, dataKeyArns } = account;
  return policyDocument(
    {
      Effect: 'Allow',
      Action: 'sts:AssumeRole',
      Resource: [
        ...SERVICE_PRINCIPALS.map((principal) => vaultRoleArn(account, principal)),
        `arn:${partition}:iam::*:role/domicile-*`,
      ],
    },
    { Effect: 'Deny', Action: 'sts:AssumeRole', Resource: vaultRoleArn(account, 'key-admin') },
    { Effect: 'Allow', Action: 'kms:DescribeKey', Resource: dataKeyArns },
    // Not s3:ListBucket, which HeadBucket would take: it tells the names of every tenant's objects.
    { Effect: 'Allow', Action: 's3:GetBucketLocation', Resource: `arn:${partition}:s3:::${bucket}` },
  );
}

/**
 * The bucket's policy: objects are the vault's principals' alone, whatever else the account's policies allow; and they are created, never
 * replaced. Only the key admin replaces anything, and only key objects. A policy of denials: it gives nobody anything.
 */
function bucketPolicy(account: VaultAccount): PolicyDocument {
  const arn = `arn:${account.partition}:s3:::${account.bucket}`;
  const unconditional = { 's3:if-none-match': 'true' };
  return policyDocument(
    {
      Sid: 'OnlyTheVault',
      Effect: 'Deny',
      Principal: EVERYBODY,
      Action: 's3:*',
      Resource: `${arn}/*`,
      Condition: {
        ArnNotEquals: { 'aws:PrincipalArn': VAULT_PRINCIPALS.map((principal) => vaultRoleArn(account, principal)) },
      },
    },
    {
      Sid: 'CreateOnly',
      Effect: 'Deny',
      Principal: EVERYBODY,
      Action: 's3:PutObject',
      Resource: `${arn}/*`,
      Condition: {
        Null: unconditional,
        ArnNotEquals: { 'aws:PrincipalArn': vaultRoleArn(account, 'key-admin') },
      },
    },
    {
      Sid: 'OnlyKeysAreReplaced',
      Effect: 'Deny',
      Principal: EVERYBODY,
      Action: 's3:PutObject',
      NotResource: `${arn}/t/*/v1/*/keys/*`,
      Condition: { Null: unconditional },
    },
  );
}

/** The data key's policy: the account administers it through IAM, and nobody but the vault's principals ever uses it. */
function dataKeyPolicy(account: VaultAccount): PolicyDocument {
  const { partition, awsAccountId } = account;
  return policyDocument(
    {
      Sid: 'Account',
      Effect: 'Allow',
      Principal: { AWS: `arn:${partition}:iam::${awsAccountId}:root` },
      Action: 'kms:*',
      Resource: '*',
    },
    {
      Sid: 'OnlyTheVault',
      Effect: 'Deny',
      Principal: EVERYBODY,
      Action: ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey*', 'kms:ReEncrypt*'],
      Resource: '*',
      Condition: {
        ArnNotEquals: { 'aws:PrincipalArn': VAULT_PRINCIPALS.map((principal) => vaultRoleArn(account, principal)) },
      },
    },
  );
}

/** What an operator puts into a cell's account for its vault. */
export type VaultDocuments = {
  roles: VaultRole[];
  connectorPolicy: PolicyDocument;
  bucketPolicy: PolicyDocument;
  dataKeyPolicy: PolicyDocument;
};

export const vaultDocuments = (account: VaultAccount, connectorRoleArn: string): VaultDocuments => ({
  roles: vaultRoles(account, connectorRoleArn),
  connectorPolicy: connectorPolicy(account),
  bucketPolicy: bucketPolicy(account),
  dataKeyPolicy: dataKeyPolicy(account),
});
