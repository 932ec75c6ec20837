import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { describe, expect, test } from 'vitest';
import { errorOf, openSandbox } from './support.ts';

const VENDOR = '111111111111';
const CUSTOMER = '222222222222';
const ECS = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'ecs-tasks.amazonaws.com' }, Action: 'sts:AssumeRole' }],
};
const doc = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const trust = (condition: object, principal = `arn:aws:iam::${VENDOR}:root`) =>
  doc({ Effect: 'Allow', Principal: { AWS: principal }, Action: 'sts:AssumeRole', Condition: condition });
const ID = { StringEquals: { 'sts:ExternalId': 'right-id' } };

/** A vendor's worker with task credentials, and a customer's role that it may assume with the External ID. */
async function world(trustDocument = trust(ID)) {
  const { control, sandbox, endpoint } = await openSandbox();
  const [vendor, customer] = [await control.account(VENDOR), await control.account(CUSTOMER)];
  const iam = (credentials: typeof vendor) => new IAMClient({ endpoint, region: 'us-east-1', credentials });
  await iam(vendor).send(new CreateRoleCommand({ RoleName: 'worker', AssumeRolePolicyDocument: JSON.stringify(ECS) }));
  await iam(vendor).send(
    new PutRolePolicyCommand({
      RoleName: 'worker',
      PolicyName: 'p',
      PolicyDocument: doc({ Effect: 'Allow', Action: 'sts:AssumeRole', Resource: '*' }),
    }),
  );
  await iam(customer).send(new CreateRoleCommand({ RoleName: 'backup', AssumeRolePolicyDocument: trustDocument }));
  const task = await fetch(control.taskCredentialsUri(VENDOR, 'worker'), {
    headers: { authorization: sandbox.adminToken },
  });
  const { AccessKeyId, SecretAccessKey, Token } = (await task.json()) as Record<string, string>;
  const credentials = {
    accessKeyId: AccessKeyId ?? '',
    secretAccessKey: SecretAccessKey ?? '',
    sessionToken: Token ?? '',
  };
  const sts = new STSClient({ endpoint, region: 'eu-central-1', credentials });
  const assume = (input: Partial<ConstructorParameters<typeof AssumeRoleCommand>[0]> = {}) =>
    sts.send(
      new AssumeRoleCommand({
        RoleArn: `arn:aws:iam::${CUSTOMER}:role/backup`,
        RoleSessionName: 'job',
        ExternalId: 'right-id',
        ...input,
      }),
    );
  return {
    assume,
    sts,
    sandbox,
    endpoint,
    iamVendor: iam(vendor),
    iamCustomer: iam(customer),
    control,
    vendor,
    customer,
  };
}

describe('AssumeRole', () => {
  test('works with the right External ID and gives the session of that account', async () => {
    const { assume, endpoint } = await world();
    const { Credentials } = await assume();
    const session = new STSClient({
      endpoint,
      region: 'eu-central-1',
      credentials: {
        accessKeyId: Credentials?.AccessKeyId ?? '',
        secretAccessKey: Credentials?.SecretAccessKey ?? '',
        sessionToken: Credentials?.SessionToken ?? '',
      },
    });
    const who = await session.send(new GetCallerIdentityCommand({}));
    expect(who).toMatchObject({ Account: CUSTOMER, Arn: `arn:aws:sts::${CUSTOMER}:assumed-role/backup/job` });
  });

  test('is refused with a wrong External ID, and with none', async () => {
    const { assume } = await world();
    expect(await errorOf(assume({ ExternalId: 'wrong-id' }))).toBe('AccessDenied');
    expect(await errorOf(assume({ ExternalId: undefined }))).toBe('AccessDenied');
  });

  test('works without an External ID where the trust policy does not ask for one', async () => {
    const { assume } = await world(trust({}));
    expect(await errorOf(assume({ ExternalId: undefined }))).toBeNull();
  });

  test('is refused by a trust policy that names somebody else', async () => {
    const { assume } = await world(trust(ID, 'arn:aws:iam::333333333333:root'));
    expect(await errorOf(assume())).toBe('AccessDenied');
  });

  test('is refused by a trust policy for another role of ours', async () => {
    const { assume } = await world(
      trust({ ...ID, ArnEquals: { 'aws:PrincipalArn': `arn:aws:iam::${VENDOR}:role/other` } }),
    );
    expect(await errorOf(assume())).toBe('AccessDenied');
  });

  test('of a role that does not exist is refused like any other', async () => {
    const { assume } = await world();
    expect(await errorOf(assume({ RoleArn: `arn:aws:iam::${CUSTOMER}:role/none` }))).toBe('AccessDenied');
  });

  test('needs the right of the caller too', async () => {
    const { assume, iamVendor } = await world();
    await iamVendor.send(new DeleteRolePolicyCommand({ RoleName: 'worker', PolicyName: 'p' }));
    expect(await errorOf(assume())).toBe('AccessDenied');
  });

  test('needs TagSession in the trust policy for session tags', async () => {
    const { assume } = await world();
    expect(await errorOf(assume({ Tags: [{ Key: 'tenant', Value: 'x' }] }))).toBe('AccessDenied');
  });

  test('refuses a session policy of more than 2,048 characters, and one that is none', async () => {
    const { assume } = await world();
    const long = doc({
      Effect: 'Allow',
      Action: 's3:*',
      Resource: Array.from({ length: 60 }, (_, i) => `arn:aws:s3:::bucket-${i}-${'x'.repeat(30)}`),
    });
    expect(await errorOf(assume({ Policy: long }))).toBe('ValidationError');
    expect(await errorOf(assume({ Policy: '{"no":"policy"}' }))).toMatch(/MalformedPolicyDocument/);
  });

  test('refuses more than an hour to a session that is itself a role', async () => {
    const { assume } = await world();
    expect(await errorOf(assume({ DurationSeconds: 3_601 }))).toBe('ValidationError');
    expect(await errorOf(assume({ DurationSeconds: 899 }))).toBe('ValidationError');
  });

  test('stops working when the role is deleted, for sessions that exist too', async () => {
    const { assume, iamCustomer, endpoint } = await world();
    const { Credentials: c } = await assume();
    await iamCustomer.send(new DeleteRoleCommand({ RoleName: 'backup' }));
    const session = new STSClient({
      endpoint,
      region: 'eu-central-1',
      credentials: {
        accessKeyId: c?.AccessKeyId ?? '',
        secretAccessKey: c?.SecretAccessKey ?? '',
        sessionToken: c?.SessionToken ?? '',
      },
    });
    expect(await errorOf(session.send(new GetCallerIdentityCommand({})))).toBe('InvalidClientTokenId');
    expect(await errorOf(assume())).toBe('AccessDenied');
  });

  test('binds a role that a trust policy names to that very role, not to its name', async () => {
    const { assume, iamVendor, iamCustomer } = await world();
    await iamCustomer.send(
      new UpdateAssumeRolePolicyCommand({
        RoleName: 'backup',
        PolicyDocument: trust(ID, `arn:aws:iam::${VENDOR}:role/worker`),
      }),
    );
    expect(await errorOf(assume())).toBeNull();
    await iamVendor.send(new DeleteRolePolicyCommand({ RoleName: 'worker', PolicyName: 'p' }));
    await iamVendor.send(new DeleteRoleCommand({ RoleName: 'worker' }));
    expect(await errorOf(assume())).not.toBeNull();
  });

  test('gives credentials that expire', async () => {
    const { assume, endpoint, sandbox } = await world();
    const { Credentials: c } = await assume();
    sandbox.clock.move(3_601_000);
    // systemClockOffset: the client signs with the moved time, so that only the expiry is wrong.
    const session = new STSClient({
      endpoint,
      region: 'eu-central-1',
      systemClockOffset: 3_601_000,
      credentials: {
        accessKeyId: c?.AccessKeyId ?? '',
        secretAccessKey: c?.SecretAccessKey ?? '',
        sessionToken: c?.SessionToken ?? '',
      },
    });
    expect(await errorOf(session.send(new GetCallerIdentityCommand({})))).toBe('ExpiredToken');
  });
});

describe('a signature', () => {
  test('with a wrong secret is refused', async () => {
    const { endpoint, vendor } = await world();
    const sts = new STSClient({
      endpoint,
      region: 'eu-central-1',
      credentials: { ...vendor, secretAccessKey: 'wrong' },
    });
    expect(await errorOf(sts.send(new GetCallerIdentityCommand({})))).toBe('SignatureDoesNotMatch');
  });

  test('of an unknown key is refused', async () => {
    const { endpoint } = await world();
    const sts = new STSClient({
      endpoint,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'AKIAUNKNOWN', secretAccessKey: 'x' },
    });
    expect(await errorOf(sts.send(new GetCallerIdentityCommand({})))).toBe('InvalidClientTokenId');
  });

  test('from a clock that is an hour off is refused', async () => {
    const { endpoint, vendor } = await world();
    const sts = new STSClient({
      endpoint,
      region: 'eu-central-1',
      systemClockOffset: 3_600_000,
      maxAttempts: 1,
      credentials: vendor,
    });
    expect(await errorOf(sts.send(new GetCallerIdentityCommand({})))).toBe('SignatureDoesNotMatch');
  });

  test('is needed', async () => {
    const { endpoint } = await world();
    expect((await fetch(`${endpoint}/`, { method: 'POST', body: 'Action=GetCallerIdentity' })).status).toBe(403);
  });
});
