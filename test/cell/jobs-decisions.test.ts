import { describe, expect, test } from 'vitest';
import { expiredPoints } from '../../src/cell/jobs/retention.ts';
import { targetKey } from '../../src/cell/jobs/restore/context.ts';
import { verdictOf } from '../../src/cell/jobs/runner.ts';
import { type Findings, stateAfter } from '../../src/cell/jobs/verify.ts';
import { Fault, type FaultCode } from '../../src/core/faults.ts';

const NOW = new Date('2026-11-23T12:00:00Z');

describe('retention', () => {
  const point = (id: string, daysAgo: number, retention: object | null, ruleId = 'r') => ({
    id,
    ruleId,
    retention,
    pointInTime: new Date(NOW.getTime() - daysAgo * 86_400_000),
  });
  test.each([
    [
      'keeps the newest of a rule',
      [point('a', 3, { keepLast: 2 }), point('b', 2, { keepLast: 2 }), point('c', 1, { keepLast: 2 })],
      ['a'],
    ],
    ['counts each rule by itself', [point('a', 2, { keepLast: 1 }, 'x'), point('b', 1, { keepLast: 1 }, 'y')], []],
    ['deletes after days', [point('a', 31, { deleteAfterDays: 30 }), point('b', 29, { deleteAfterDays: 30 })], ['a']],
    [
      'keeps what either rule keeps',
      [point('a', 31, { keepLast: 1, deleteAfterDays: 30 }), point('b', 40, { keepLast: 1, deleteAfterDays: 30 })],
      ['b'],
    ],
    ['keeps a point without retention for ever', [point('a', 9_999, null)], []],
    ['deletes at the very day', [point('a', 30, { deleteAfterDays: 30 })], ['a']],
  ])('%s', (_name, points, expected) => {
    expect(expiredPoints(points, NOW)).toEqual(expected);
  });
});

describe("a connection's state", () => {
  const connection = {
    state: 'PENDING' as const,
    awsAccountId: '222222222222',
    awsRegions: ['eu-central-1', 'eu-west-1'],
  };
  const good: Findings = {
    own: 'accepted',
    withoutExternalId: 'refused',
    wrongExternalId: 'refused',
    accountId: '222222222222',
    missing: [],
  };
  const blind = (awsRegion: string) => ({ action: 'ec2:DescribeInstances', awsRegion, detail: '' });
  test.each<[string, Partial<Findings>, string, string?]>([
    ['CONNECTED takes both refusals', {}, 'CONNECTED'],
    ['a role that works without an External ID is INSECURE', { withoutExternalId: 'accepted' }, 'INSECURE'],
    ['a role that works with a wrong one is INSECURE', { wrongExternalId: 'accepted' }, 'INSECURE'],
    ['a probe that ended in a time-out proves nothing', { wrongExternalId: 'inconclusive' }, 'PENDING'],
    [
      'a connection that was good stays so while a probe proves nothing',
      { withoutExternalId: 'inconclusive' },
      'CONNECTED',
      'CONNECTED',
    ],
    ['a new role that refuses us is waited for', { own: 'refused' }, 'PENDING'],
    ['a known role that refuses us is gone', { own: 'refused' }, 'DISCONNECTED', 'CONNECTED'],
    ['AWS being away changes nothing', { own: 'inconclusive' }, 'CONNECTED', 'CONNECTED'],
    ['the role must be of the account that was named', { accountId: '333333333333' }, 'DISCONNECTED'],
    ['a narrower role is accepted', { missing: [blind('eu-west-1')] }, 'CONNECTED'],
    [
      'a role that sees nothing anywhere is not',
      { missing: [blind('eu-west-1'), blind('eu-central-1')] },
      'INSUFFICIENT_PERMISSIONS',
    ],
  ])('%s', (_name, found, expected, before = 'PENDING') => {
    expect(stateAfter({ ...connection, state: before as 'PENDING' }, { ...good, ...found }).state).toBe(expected);
  });
});

describe('a job that stopped', () => {
  const verdict = (code: FaultCode, attempts = 1) => verdictOf(new Fault(code, 'why'), attempts, NOW);
  test.each<[FaultCode, string | null, string]>([
    ['role_not_assumable', 'role', 'PENDING'],
    ['missing_permission', 'role', 'PENDING'],
    ['key_access_denied', 'key', 'PENDING'],
    ['key_unavailable', 'key', 'PENDING'],
    ['store_unavailable', 'store', 'PENDING'],
    ['aws_quota_exceeded', 'quota', 'PENDING'],
    ['instance_terminated', null, 'FAILED'],
    ['restore_checksum_mismatch', null, 'FAILED'],
    ['aborted', null, 'ABORTED'],
  ])('by %s is blocked by %s and %s', (code, reason, state) => {
    const { change } = verdict(code);
    expect(change.state).toBe(state);
    expect(change.blocked?.reason ?? null).toBe(reason);
  });

  test('by something that passes is tried again, later each time, and fails in the end', () => {
    expect(verdict('aws_throttled', 1).change.state).toBe('PENDING');
    expect(verdict('aws_throttled', 6).againInMs ?? 0).toBeGreaterThan(verdict('aws_throttled', 1).againInMs ?? 0);
    expect(verdict('aws_throttled', 8).change).toMatchObject({ state: 'FAILED', problem: { code: 'aws_throttled' } });
  });
});
test('a restored volume keeps the key of its source, unless another one is named', () => {
  const target = { connectionId: 'con', awsRegion: 'eu-central-1' };
  const keyOf = (
    source: { encrypted: boolean; kmsKeyArn: string | null },
    wanted: { all?: string; one?: string } = {},
  ) =>
    targetKey(
      {
        target: { ...target, kmsKeyArn: wanted.all },
        volumeOptions: [{ sourceVolumeId: 'vol-1', kmsKeyArn: wanted.one }],
      },
      { volumeId: 'vol-1', ...source },
    );
  const encrypted = { encrypted: true, kmsKeyArn: 'arn:source' };
  const plain = { encrypted: false, kmsKeyArn: null };
  expect(keyOf(encrypted)).toBe('arn:source');
  expect(keyOf(encrypted, { all: 'arn:wanted' })).toBe('arn:wanted');
  expect(keyOf(encrypted, { all: 'arn:wanted', one: 'arn:its-own' })).toBe('arn:its-own');
  expect(keyOf(plain, { all: 'arn:wanted' })).toBe('arn:wanted');
  expect(keyOf(plain)).toBeNull(); // the volume gets the account's default key
});
