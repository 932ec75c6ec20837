import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { createAwsClients } from '../../src/aws/clients.ts';
import { openKeyService } from '../../src/aws/kms-keys.ts';
import { vaultRoleArn, vaultSessionPolicy } from '../../src/aws/policies/vault-principals.ts';
import { openKeyObjectStore } from '../../src/aws/s3-key-store.ts';
import { vaultSession } from '../../src/aws/sessions.ts';
import type { World } from './world.ts';

/** A person of the cell's account with a right to assume the key admin's role, and nothing else. */
async function person(world: World, roleArn: string) {
  const root = await world.control.account(world.worker.vault.bucketOwner);
  const iam = new IAMClient({ endpoint: world.sandbox.url, region: 'us-east-1', credentials: root });
  const UserName = 'key-admin';
  const allowed = { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: roleArn };
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [allowed] });
  await iam.send(new CreateUserCommand({ UserName }));
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'key-admin', PolicyDocument }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  iam.destroy();
  return { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
}

/** Where a session of the key admin's comes from: over one tenant, and over these data keys beside the cell's. */
export async function keyAdminSession(world: World, tenantId: string, moreKeyArns: readonly string[] = []) {
  const { region, endpoints, vault } = world.worker;
  const dataKeyArns = [vault.dataKeyArn, ...moreKeyArns];
  const account = { ...region, awsAccountId: vault.bucketOwner, bucket: vault.bucket, dataKeyArns };
  const awsRegion = region.homeAwsRegion;
  const roleArn = vaultRoleArn(account, 'key-admin');
  const who = await person(world, roleArn);
  const before = createAwsClients({ region, endpoints, credentials: async () => who });
  const policy = vaultSessionPolicy('key-admin', account, tenantId);
  const credentials = vaultSession(before.for(awsRegion).sts, roleArn, { name: 'key-admin', policy, awsRegion });
  return { credentials, close: () => before.destroy() };
}

export type KeyAdmin = {
  store: ReturnType<typeof openKeyObjectStore>;
  dataKey: ReturnType<typeof openKeyService>;
};

/** Runs `work` as the key admin, over one tenant's key objects. Once in a world. */
export async function asKeyAdmin<T>(world: World, tenantId: string, work: (admin: KeyAdmin) => Promise<T>): Promise<T> {
  const { region, endpoints, vault } = world.worker;
  const awsRegion = region.homeAwsRegion;
  const session = await keyAdminSession(world, tenantId);
  const aws = createAwsClients({ region, endpoints, credentials: session.credentials });
  const { s3, kms } = aws.for(awsRegion);
  const place = { bucket: vault.bucket, expectedBucketOwner: vault.bucketOwner, prefix: `t/${tenantId}/`, awsRegion };
  try {
    return await work({
      store: openKeyObjectStore(s3, place),
      dataKey: openKeyService(kms, vault.dataKeyArn, awsRegion),
    });
  } finally {
    aws.destroy();
    session.close();
  }
}
