import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { regionOf } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { type AwsClients, createAwsClients, type RegionalClients, tierCredentials } from '../../src/aws/clients.ts';
import type { CredentialSource } from '../../src/aws/data-clients.ts';
import { vaultDocuments } from '../../src/aws/policies/vault-account.ts';
import {
  type VaultAccount,
  VAULT_PRINCIPALS,
  type VaultPrincipal,
  vaultRoleArn,
  vaultSessionPolicy,
} from '../../src/aws/policies/vault-principals.ts';
import { vaultSession } from '../../src/aws/sessions.ts';
import { createSandbox } from '../../src/sandbox/server.ts';
import { prepareCellAccount } from '../../src/stranger/operator-account.ts';
import { createSandboxControl } from '../../src/stranger/sandbox-control.ts';

export const CELL = 'eu';
export const AWS_REGION = 'eu-central-1';
const AWS_ACCOUNT_ID = '111111111112';
const REGION = regionOf(CELL) as Region;

/** Everybody who asks something of a vault: its principals, the tiers, and whoever administers the account. */
export const CALLERS = [...VAULT_PRINCIPALS, 'connector', 'api', 'admin'] as const;
export type Caller = (typeof CALLERS)[number];

const ECS_TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});
export const EVERYTHING = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
});

/** A cell's account in a sandbox, and clients as anybody there. */
export async function openVaultAccount(dir: string) {
  const sandbox = await createSandbox({ dir });
  const control = createSandboxControl(sandbox.url, sandbox.adminToken);
  const root = await control.account(AWS_ACCOUNT_ID);
  const access = { endpoint: sandbox.url, awsRegion: AWS_REGION, credentials: root };
  const config = { endpoint: sandbox.url, region: AWS_REGION, credentials: { ...root } };
  const [iam, kms] = [new IAMClient(config), new KMSClient(config)];
  const s3 = new S3Client({ ...config, forcePathStyle: true });
  const accountOf = (made: { bucket: string; dataKeyArn: string }): VaultAccount => ({
    partition: 'aws',
    cell: CELL,
    awsAccountId: AWS_ACCOUNT_ID,
    bucket: made.bucket,
    dataKeyArns: [made.dataKeyArn],
  });
  const prepare = () =>
    prepareCellAccount(access, CELL, AWS_ACCOUNT_ID, (made) => vaultDocuments(accountOf(made), made.connectorRoleArn));
  const resources = await prepare();
  const account = accountOf(resources);
  await iam.send(new CreateRoleCommand({ RoleName: 'admin', AssumeRolePolicyDocument: ECS_TRUST }));
  await iam.send(new PutRolePolicyCommand({ RoleName: 'admin', PolicyName: 'all', PolicyDocument: EVERYTHING }));

  const endpoints = { s3: sandbox.url, kms: sandbox.url, sts: sandbox.url };
  const opened: { destroy(): void }[] = [iam, s3, kms];
  const clientsWith = (credentials: CredentialSource): AwsClients => {
    const aws = createAwsClients({ region: REGION, credentials, endpoints });
    opened.push(aws);
    return aws;
  };
  const taskOf = (roleName: string) =>
    tierCredentials({
      uri: control.taskCredentialsUri(AWS_ACCOUNT_ID, roleName),
      authorizationToken: sandbox.adminToken,
    });
  const clientsOf = (credentials: CredentialSource) => clientsWith(credentials).for(AWS_REGION);
  const asRole = (roleName: string) => clientsOf(taskOf(roleName));
  const aws = clientsWith(taskOf(resources.connectorRoleName));
  const tiers = {
    connector: aws.for(AWS_REGION),
    api: asRole(resources.apiRoleName),
    admin: asRole('admin'),
  };
  const isPrincipal = (caller: Caller): caller is VaultPrincipal => VAULT_PRINCIPALS.some((one) => one === caller);

  function sessionOf(principal: VaultPrincipal, tenantId: string): RegionalClients {
    const { sts } = principal === 'key-admin' ? tiers.admin : tiers.connector;
    const policy = vaultSessionPolicy(principal, account, tenantId);
    const options = { name: `test-${principal}`, policy, awsRegion: AWS_REGION };
    return clientsOf(vaultSession(sts, vaultRoleArn(account, principal), options));
  }
  const sessions = new Map<string, RegionalClients>();

  return {
    account,
    resources,
    sandbox,
    tiers,
    /** The operator's own clients: of the account itself. */
    operator: { iam, s3, kms },
    /** What the worker tier has. */
    worker: {
      region: REGION,
      aws,
      endpoints,
      vault: { bucket: account.bucket, bucketOwner: AWS_ACCOUNT_ID, dataKeyArn: resources.dataKeyArn },
    },
    clientsOf,
    /** Puts the account in order again, as every start does. */
    prepare,
    /** Clients of a caller: a principal's in a session for this tenant, opened by who may. */
    as: (caller: Caller, tenantId: string): RegionalClients => {
      if (!isPrincipal(caller)) return tiers[caller];
      const name = `${caller} ${tenantId}`;
      const session = sessions.get(name) ?? sessionOf(caller, tenantId);
      sessions.set(name, session);
      return session;
    },
    async close() {
      for (const one of opened) one.destroy();
      await sandbox.close();
    },
  };
}

export type VaultWorld = Awaited<ReturnType<typeof openVaultAccount>>;
