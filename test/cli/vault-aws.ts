import { vaultRoleArn, vaultSessionPolicy, type VaultPrincipal } from '../../src/aws/policies/vault-principals.ts';
import { vaultSession } from '../../src/aws/sessions.ts';
import { CELL_ACCOUNT, type World } from '../e2e/world.ts';

/** The environment of somebody who holds a session of one of the vault's roles, as a profile would give it. */
export async function environmentOf(
  world: World,
  principal: VaultPrincipal,
  tenantId: string,
  moreKeyArns: readonly string[] = [],
) {
  const { bucket, dataKeyArn } = world.resources;
  const account = {
    partition: 'aws',
    cell: 'eu',
    awsAccountId: CELL_ACCOUNT,
    bucket,
    dataKeyArns: [dataKeyArn, ...moreKeyArns],
  };
  const session = vaultSession(world.worker.aws.for('eu-central-1').sts, vaultRoleArn(account, principal), {
    name: 'cli',
    policy: vaultSessionPolicy(principal, account, tenantId),
    awsRegion: 'eu-central-1',
  });
  const { accessKeyId, secretAccessKey, sessionToken = '' } = await session();
  return {
    AWS_ENDPOINT_URL: world.sandbox.url,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  };
}
