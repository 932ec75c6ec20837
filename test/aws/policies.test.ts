import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanUpPolicy, restorePolicy } from '../../src/aws/policies/restore-role.ts';
import * as restoring from '../../src/aws/policies/restore-session.ts';
import { backupPolicy, type RoleScope, roleNameOf, trustPolicy } from '../../src/aws/policies/role.ts';
import * as session from '../../src/aws/policies/session.ts';
import { VAULT_PRINCIPALS, vaultSessionPolicy } from '../../src/aws/policies/vault-principals.ts';

const scope: RoleScope = {
  partition: 'aws',
  dnsSuffix: 'amazonaws.com',
  awsAccountId: '222222222222',
  tenantId: 'ten_eu_01k9wq3v7hr2m5c8d4x6z0abcd',
  awsRegions: ['eu-central-1', 'eu-west-1'],
  tag: { key: 'domicile:backup', value: 'true' },
  vpcIds: [],
  storage: 'vault',
  restoreInPlace: false,
  kmsKeyArns: ['arn:aws:kms:eu-central-1:222222222222:key/11111111-2222-3333-4444-555555555555'],
};
const actionsOf = (policy: { Statement: readonly { Action: string | readonly string[] }[] }) =>
  policy.Statement.flatMap(({ Action }) => Action);

describe("a role's policies", () => {
  test('trust our account narrowed to one principal, and only with the External ID', () => {
    const connectorRoleArn = 'arn:aws:iam::111111111111:role/domicile-cell-eu-connector';
    const [statement] = trustPolicy({ connectorRoleArn, externalId: 'id' }).Statement;
    expect(statement).toMatchObject({
      Principal: { AWS: 'arn:aws:iam::111111111111:root' },
      Action: 'sts:AssumeRole',
      Condition: { StringEquals: { 'sts:ExternalId': 'id' }, ArnEquals: { 'aws:PrincipalArn': connectorRoleArn } },
    });
  });

  test('never allow what could reach untagged things', () => {
    const actions = [...actionsOf(backupPolicy(scope)), ...actionsOf(restorePolicy(scope))];
    for (const forbidden of [
      'ec2:CreateSnapshot',
      'ec2:DeleteVolume',
      'ec2:TerminateInstances',
      'ec2:ModifySnapshotAttribute',
      'kms:*',
      '*',
    ]) {
      expect(actions).not.toContain(forbidden);
    }
    expect(actionsOf(restorePolicy(scope)).filter((action) => /Delete|Terminate|Deregister/.test(action))).toEqual([]);
    expect(actions.filter((action) => action.endsWith(':*'))).toEqual(['ec2:*', 'ebs:*']); // of a Deny
  });

  test('name regions in every resource, tags in every condition that reads or deletes', () => {
    for (const statement of backupPolicy(scope).Statement) {
      const resources = [statement.Resource ?? []].flat();
      if (resources.includes('*'))
        expect(statement.Condition?.['StringEquals']?.['aws:RequestedRegion']).toEqual(scope.awsRegions);
      else expect(resources.every((arn) => arn.includes(':eu-'))).toBe(true);
      if (/DeleteSnapshot|GetSnapshotBlock/.test(JSON.stringify(statement.Action))) {
        expect(statement.Condition?.['StringEquals']).toMatchObject({
          'aws:ResourceTag/domicile:tenant': scope.tenantId,
        });
      }
      if (statement.Action === 'ec2:CreateTags')
        expect(statement.Condition?.['StringEquals']).toHaveProperty(['ec2:CreateAction']);
    }
  });

  test('without named keys ask for no right on any key', () => {
    const none = { ...scope, kmsKeyArns: [] };
    expect(
      [...actionsOf(backupPolicy(none)), ...actionsOf(restorePolicy(none))].filter((action) =>
        action.startsWith('kms:'),
      ),
    ).toEqual([]);
  });

  test('with account storage have no right to any block, read or written', () => {
    const account = { ...scope, storage: 'account' as const };
    const actions = [...actionsOf(backupPolicy(account)), ...actionsOf(restorePolicy(account))];
    // The Deny for other regions names `ebs:*`: it takes rights away.
    expect(actions.filter((action) => action.startsWith('ebs:'))).toEqual(['ebs:*']);
    expect(actionsOf(backupPolicy(account)).filter((action) => action.startsWith('kms:'))).toEqual([]);
  });

  test('touch existing instances only where restoring in place was asked for', () => {
    const touching = /:(Stop|Start(?!Snapshot)|Detach|CreateReplace)/;
    const may = (restoreInPlace: boolean) =>
      actionsOf(restorePolicy({ ...scope, restoreInPlace })).filter((action) => touching.test(action));
    expect(may(false)).toEqual([]);
    expect(may(true)).toContain('ec2:StopInstances');
  });

  test('delete, in the clean-up role, what restore jobs of the tenant made and nothing else', () => {
    for (const { Effect, Action, Condition } of cleanUpPolicy(scope).Statement) {
      if (Effect === 'Deny' || !/Delete|Terminate|Deregister/.test(String(Action))) continue;
      expect(Condition).toEqual({
        StringEquals: { 'aws:ResourceTag/managed-by': 'domicile', 'aws:ResourceTag/domicile:tenant': scope.tenantId },
        StringLike: { 'aws:ResourceTag/domicile:job': 'rjob_*' },
      });
    }
  });

  test('follow the partition', () => {
    expect(JSON.stringify(backupPolicy({ ...scope, partition: 'aws-eusc', kmsKeyArns: [] }))).not.toContain('arn:aws:');
  });

  test('role names fit AWS', () => {
    expect(roleNameOf('con_eu_01k9wq3v7hr2m5c8d4x6z0abcd')).toMatch(/^[\w+=,.@-]{1,64}$/);
  });
});

describe('a session policy', () => {
  const hex = (length: number) =>
    fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: length, maxLength: length });
  const step = fc.record({
    partition: fc.constantFrom('aws', 'aws-eusc', 'aws-us-gov'),
    dnsSuffix: fc.constant('amazonaws.com'),
    awsAccountId: fc.constant('222222222222'),
    awsRegion: fc.constantFrom('eu-central-1', 'ap-southeast-2', 'eusc-de-east-1', 'us-gov-west-1'),
    tenantId: fc.constant('ten_abcdefghijklmnop_01k9wq3v7hr2m5c8d4x6z0abcd'),
  });
  const keyArn = fc.option(
    fc.constant('arn:aws-us-gov:kms:us-gov-west-1:222222222222:key/mrk-1234567890abcdef1234567890abcdef'),
    { nil: null },
  );

  test('is within 2,048 characters, whatever the number of volumes', () => {
    fc.assert(
      fc.property(
        step,
        hex(17),
        fc.array(hex(17), { minLength: 1, maxLength: 128 }),
        keyArn,
        (where, id, volumes, key) => {
          const policies = [
            session.describeStep(where),
            session.createStep(where, `i-${id}`),
            session.deleteStep(where),
            session.probeStep(where),
            session.lockStep(where),
            session.captureStep(where, `i-${id}`),
            restoring.startStep(where, key),
            restoring.copyStep(where),
            restoring.imageStep(where),
            restoring.launchStep(where, `ami-${id}`),
            restoring.attachStep(where, `i-${id}`),
            restoring.swapStep(where, `i-${id}`),
            restoring.tagStep(where),
            restoring.cleanUpStep(where),
            // A job with many volumes has a session for each of them: none names more than its own two snapshots.
            ...volumes.flatMap((volume) => [
              session.readStep(where, [`snap-${volume}`, `snap-${id}`], key),
              restoring.writeStep(where, `snap-${volume}`, key),
              restoring.volumeStep(where, `snap-${volume}`, key),
            ]),
          ];
          for (const policy of policies)
            expect(JSON.stringify(policy).length).toBeLessThanOrEqual(session.SESSION_POLICY_CHARACTERS_MAX);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('of a principal of the vault is within 2,048 characters, with two data keys at once and a recovery region’s', () => {
    const arn = 'arn:aws-us-gov:kms:us-gov-west-1:111111111111:key/mrk-1234567890abcdef1234567890abcdef';
    const account = {
      partition: 'aws-us-gov',
      cell: 'abcdefghijklmnop',
      awsAccountId: '111111111111',
      bucket: 'x'.repeat(63),
      dataKeyArns: [arn, arn],
      recoveryKeyArn: arn,
    };
    for (const principal of VAULT_PRINCIPALS) {
      const policy = vaultSessionPolicy(principal, account, 'ten_abcdefghijklmnop_01k9wq3v7hr2m5c8d4x6z0abcd');
      expect(JSON.stringify(policy).length).toBeLessThanOrEqual(session.SESSION_POLICY_CHARACTERS_MAX);
    }
  });

  test('of a reading step names its two snapshots and nothing else', () => {
    const where = {
      partition: 'aws',
      dnsSuffix: 'amazonaws.com',
      awsAccountId: '222222222222',
      awsRegion: 'eu-central-1',
      tenantId: 't',
    };
    const [blocks] = session.readStep(where, ['snap-1', 'snap-2'], null).Statement;
    expect(blocks?.Resource).toEqual([
      'arn:aws:ec2:eu-central-1::snapshot/snap-1',
      'arn:aws:ec2:eu-central-1::snapshot/snap-2',
    ]);
  });
});
