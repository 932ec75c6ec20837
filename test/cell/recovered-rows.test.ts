import { describe, expect, test } from 'vitest';
import { rowsOf } from '../../src/cell/recovery/rows.ts';
import type { RecoveredPoints, RecoveredRoot } from '../../src/contract/recovered-points.ts';

const TENANT = 'ten_eu_01k9wq3v7hr2m5c8d4x6z0abcd';

function about(run: number, volumeIds: readonly string[]) {
  return {
    version: 1,
    recoveryPointId: `rp-${run}`,
    backupJobId: `bjob-${run}`,
    connectionId: 'con-1',
    instanceId: 'i-1',
    awsRegion: 'eu-central-1',
    planId: null,
    ruleId: null,
    pointInTime: `2026-11-0${run}T03:00:00.000Z`,
    expiresAt: null,
    instance: { name: null, instanceType: 't3.medium', availabilityZone: 'eu-central-1a', tags: {}, configuration: {} },
    excludedVolumes: [],
    volumeIds,
    volume: {
      deviceName: '/dev/xvda',
      encrypted: false,
      kmsKeyArn: null,
      volumeType: 'gp3',
      iops: null,
      throughput: null,
      tags: {},
    },
  };
}

function root(run: number, volumeId: string, change: Partial<RecoveredRoot> = {}): RecoveredRoot {
  return {
    volumeId,
    manifestKey: `v1/${volumeId}/roots/bjob-${run}`,
    snapshotId: `snap-${run}-${volumeId}`,
    kind: run === 1 ? 'full' : 'incremental',
    reason: null,
    volumeBytes: 2 ** 30,
    blocksRead: 1,
    blocksStored: 1,
    bytesStored: 100,
    createdTime: `2026-11-0${run}T03:30:00.000Z`,
    lockUntil: null,
    about: about(run, ['vol-a', 'vol-b']),
    ...change,
  };
}

const found = (points: RecoveredPoints['points']): RecoveredPoints => ({
  format: 'domicile-points/v1',
  cell: 'eu',
  tenantId: TENANT,
  points,
  unreadable: [],
});

describe('rows of recovery points, from what their roots say', () => {
  test('a point without all of its volumes is PARTIAL', () => {
    const { points } = rowsOf(
      found([
        { runId: 'bjob-1', roots: [root(1, 'vol-a'), root(1, 'vol-b')] },
        { runId: 'bjob-2', roots: [root(2, 'vol-a')] },
      ]),
    );
    expect(points.map(({ id, state }) => [id, state])).toEqual([
      ['rp-1', 'COMPLETED'],
      ['rp-2', 'PARTIAL'],
    ]);
  });

  test('the newest point of each volume is its base, and only that one still has a snapshot', () => {
    const { points, bases } = rowsOf(
      found([
        { runId: 'bjob-2', roots: [root(2, 'vol-a')] },
        { runId: 'bjob-1', roots: [root(1, 'vol-a'), root(1, 'vol-b')] },
      ]),
    );
    expect(bases.map(({ volumeId, snapshotId, recoveryPointId }) => [volumeId, snapshotId, recoveryPointId])).toEqual([
      ['vol-a', 'snap-2-vol-a', 'rp-2'],
      ['vol-b', 'snap-1-vol-b', 'rp-1'],
    ]);
    const snapshots = points.flatMap(({ volumes }) => volumes.map(({ snapshotId }) => snapshotId));
    expect(snapshots).toEqual(['snap-2-vol-a', null, 'snap-1-vol-b']);
  });

  test('a point is locked as long as the longest of its roots', () => {
    const until = ['2027-01-01T00:00:00.000Z', '2027-02-01T00:00:00.000Z'];
    const roots = ['vol-a', 'vol-b'].map((volumeId, n) => root(1, volumeId, { lockUntil: until[n] ?? null }));
    const [point] = rowsOf(found([{ runId: 'bjob-1', roots }])).points;
    expect(point?.lockedUntil).toEqual(new Date('2027-02-01T00:00:00.000Z'));
  });

  test.each([null, {}, { version: 2 }, 'text'])('what says %j makes no row, and is not passed over', (said) => {
    const { points, bases, unknown } = rowsOf(found([{ runId: 'bjob-1', roots: [root(1, 'vol-a', { about: said })] }]));
    expect({ points, bases }).toEqual({ points: [], bases: [] });
    expect(unknown).toEqual([{ runId: 'bjob-1', volumeIds: ['vol-a'] }]);
  });
});
