import { newApiKey } from '../../src/core/api-keys.ts';
import { newId } from '../../src/core/ids.ts';

const at = new Date('2026-11-23T03:00:00.000Z');
export const time = at.toISOString();
export const id = {
  tenant: newId('tenant', 'eu', at),
  connection: newId('connection', 'eu', at),
  instance: newId('instance', 'eu', at),
  plan: newId('backupPlan', 'eu', at),
  rule: newId('rule', 'eu', at),
  selection: newId('selection', 'eu', at),
  backupJob: newId('backupJob', 'eu', at),
  restoreJob: newId('restoreJob', 'eu', at),
  point: newId('recoveryPoint', 'eu', at),
  deletion: newId('deletionRequest', 'eu', at),
  key: newId('apiKey', 'eu', at),
};
export const apiKey = newApiKey('dk', 'eu').key;
export const operatorKey = newApiKey('ok', 'eu').key;

export const tenant = {
  tenantId: id.tenant,
  name: 'Example GmbH',
  tier: 'standard',
  cell: 'eu',
  jurisdiction: 'European Union',
  createdAt: time,
};

export const connection = {
  id: id.connection,
  state: 'PENDING',
  stateDetail: null,
  awsAccountId: '123456789012',
  awsRegions: ['eu-central-1'],
  tag: { key: 'backup', value: 'yes' },
  vpcIds: [],
  kmsKeyArns: [],
  storage: 'vault',
  dedup: 'volume',
  restore: true,
  restoreInPlace: false,
  cleanUp: false,
  externalId: '7a1cbd4e-0a43-4c63-9f0e-1f3c6f0f6a11',
  roleName: 'DomicileBackup-eu',
  roleArn: 'arn:aws:iam::123456789012:role/DomicileBackup-eu',
  templateUrl: 'https://cell.example/template.yaml',
  quickCreateUrl: 'https://console.example/quickcreate?x=1',
  trustPolicy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole' }] },
  backupPolicy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'ec2:CreateSnapshots' }] },
  restorePolicy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'ebs:StartSnapshot' }] },
  missing: [],
  lastVerifiedAt: null,
  createdAt: time,
};

export const instance = {
  id: id.instance,
  instanceId: 'i-0123456789abcdef0',
  connectionId: id.connection,
  awsRegion: 'eu-central-1',
  availabilityZone: 'eu-central-1a',
  vpcId: null,
  name: 'db-1',
  state: 'running',
  instanceType: 't3.medium',
  tags: { backup: 'yes' },
  volumes: [
    {
      volumeId: 'vol-0123456789abcdef0',
      deviceName: '/dev/xvda',
      volumeBytes: 2 ** 31,
      encrypted: false,
      kmsKeyArn: null,
    },
  ],
  discoveredAt: time,
};

export function progressAt(percent: number) {
  return { blocksDone: percent * 10, blocksTotal: 1000, bytesStored: percent * 1024, percent, step: 'copy' };
}

const jobBase = {
  connectionId: id.connection,
  awsRegion: 'eu-central-1',
  blocked: null,
  problem: null,
  attempts: 1,
  createdAt: time,
  startedAt: time,
  completedAt: null,
};

export function backupJob(state: string, percent = 0, more: object = {}) {
  return {
    id: id.backupJob,
    state,
    ...jobBase,
    progress: progressAt(percent),
    instanceId: instance.instanceId,
    planId: null,
    ruleId: null,
    scheduledFor: null,
    recoveryPointId: state === 'COMPLETED' ? id.point : null,
    volumes: [],
    ...more,
  };
}

export function restoreJob(state: string, more: object = {}) {
  return {
    id: id.restoreJob,
    state,
    ...jobBase,
    progress: progressAt(0),
    recoveryPointId: id.point,
    type: 'volume',
    mode: 'new',
    target: { connectionId: id.connection, awsRegion: 'eu-central-1' },
    dryRun: false,
    volumes: [],
    instance: null,
    checks: [],
    cost: null,
    leftovers: [],
    ...more,
  };
}

export const recoveryPoint = {
  id: id.point,
  state: 'COMPLETED',
  kind: 'full',
  connectionId: id.connection,
  instanceId: instance.instanceId,
  awsRegion: 'eu-central-1',
  planId: null,
  ruleId: null,
  backupJobId: id.backupJob,
  pointInTime: time,
  createdTime: time,
  expiresAt: null,
  storage: 'vault',
  dedup: 'volume',
  lockedUntil: null,
  instance: { name: 'db-1', instanceType: 't3.medium', availabilityZone: 'eu-central-1a', tags: {} },
  volumes: [
    {
      volumeId: 'vol-0123456789abcdef0',
      kind: 'full',
      reason: null,
      volumeBytes: 2 ** 31,
      blocksRead: 4096,
      blocksStored: 1000,
      bytesStored: 2 ** 28,
      deviceName: '/dev/xvda',
      encrypted: false,
      kmsKeyArn: null,
      snapshotId: null,
      tags: {},
    },
  ],
  excludedVolumes: [
    {
      volumeId: 'vol-0fedcba9876543210',
      deviceName: '/dev/sdf',
      selectionId: id.selection,
      pointer: '/excludeVolumes/0',
      detail: 'device is /dev/sdf, like /dev/sd*',
    },
  ],
};

/** Damaged, as far as verification knows. */
export const recoveryPointDetail = {
  ...recoveryPoint,
  verification: {
    lastExistence: time,
    lastBytes: null,
    damage: [
      {
        volumeId: 'vol-0123456789abcdef0',
        class: 'object_corrupt',
        object: 'v1/vol-0123456789abcdef0/packs/x',
        foundAt: time,
        blocks: 3,
        firstBlock: 17,
      },
    ],
  },
};

export const plan = {
  id: id.plan,
  name: 'Nightly',
  paused: false,
  rules: [
    {
      id: id.rule,
      name: 'Nightly',
      cron: '0 3 * * *',
      timeZone: 'Europe/Berlin',
      startWindowMinutes: 60,
      retention: { keepLast: 7 },
      nextRunAt: time,
    },
  ],
  selections: [
    {
      id: id.selection,
      connectionId: id.connection,
      match: null,
      tags: [{ key: 'backup', value: 'yes' }],
      instanceIds: [],
      excludeInstanceIds: [],
      excludeVolumeIds: [],
      excludeVolumes: [],
      createdAt: time,
    },
  ],
  createdAt: time,
  updatedAt: time,
};

const subject = {
  id: id.instance,
  instanceId: instance.instanceId,
  name: 'db-1',
  connectionId: id.connection,
  awsRegion: 'eu-central-1',
  state: 'running',
};

export const explanation = {
  ...subject,
  discoveredAt: time,
  protected: true,
  why: 'Nightly: selected',
  obstacles: [],
  plans: [
    {
      planId: id.plan,
      name: 'Nightly',
      paused: false,
      selected: true,
      why: 'selected',
      rules: [{ ruleId: id.rule, name: 'Nightly', nextRunAt: time }],
      selections: [
        {
          selectionId: id.selection,
          outcome: 'selected',
          because: [{ pointer: '/match/and/0', detail: 'tag env is "prod"' }],
        },
      ],
      includedVolumeIds: ['vol-0123456789abcdef0'],
      excludedVolumes: recoveryPoint.excludedVolumes,
    },
  ],
};

export const unprotectedInstance = { ...subject, why: 'Nightly: tag env is "test", wanted "prod"' };

export const certificate = {
  subject: 'CN=eu',
  serialNumber: '01',
  sha256: 'ab'.repeat(32),
  notBefore: time,
  notAfter: time,
};
