import { cleanUpPolicy, restorePolicy } from '../../src/aws/policies/restore-role.ts';
import * as restoring from '../../src/aws/policies/restore-session.ts';
import { backupPolicy, type RoleScope } from '../../src/aws/policies/role.ts';
import * as session from '../../src/aws/policies/session.ts';
import { type Case, CUSTOMER, type Document } from './iam-judges.ts';

const REGION = 'eu-central-1';
const TENANT = 'ten_eu_01k9wq3v7hr2m5c8d4x6z0abcd';
const KEY = `arn:aws:kms:${REGION}:${CUSTOMER}:key/11111111-2222-3333-4444-555555555555`;
const OTHER_KEY = `arn:aws:kms:${REGION}:${CUSTOMER}:key/99999999-2222-3333-4444-555555555555`;
const scope: RoleScope = {
  partition: 'aws',
  dnsSuffix: 'amazonaws.com',
  awsAccountId: CUSTOMER,
  tenantId: TENANT,
  awsRegions: [REGION, 'eu-west-1'],
  tag: { key: 'domicile:backup', value: 'true' },
  vpcIds: ['vpc-0aaaaaaaaaaaaaaaa'],
  storage: 'vault',
  restoreInPlace: false,
  kmsKeyArns: [KEY],
};
const step: session.Step = {
  partition: 'aws',
  dnsSuffix: 'amazonaws.com',
  awsAccountId: CUSTOMER,
  awsRegion: REGION,
  tenantId: TENANT,
};

const HERE = { 'aws:RequestedRegion': REGION };
const arn = (rest: string, region = REGION) => `arn:aws:ec2:${region}:${CUSTOMER}:${rest}`;
const SNAPSHOT = `arn:aws:ec2:${REGION}::snapshot/snap-0123456789abcdef0`;
const OTHER_SNAPSHOT = `arn:aws:ec2:${REGION}::snapshot/snap-0fedcba9876543210`;
const IMAGE = `arn:aws:ec2:${REGION}::image/ami-0123456789abcdef0`;
const INSTANCE = arn('instance/i-0123456789abcdef0');
const VOLUME = arn('volume/vol-0123456789abcdef0');
const CHOSEN = { 'aws:ResourceTag/domicile:backup': 'true' };

const ours = (job?: string) => ({
  'aws:ResourceTag/managed-by': 'domicile',
  'aws:ResourceTag/domicile:tenant': TENANT,
  ...(job === undefined ? {} : { 'aws:ResourceTag/domicile:job': job }),
});
const theirs = { ...ours(), 'aws:ResourceTag/domicile:tenant': 'ten_eu_somebodyelse' };
const made = (tenant = TENANT, keys = ['managed-by', 'domicile:tenant', 'domicile:job']) => ({
  'aws:RequestTag/managed-by': 'domicile',
  'aws:RequestTag/domicile:tenant': tenant,
  'aws:RequestTag/domicile:job': 'bjob_1',
  'aws:TagKeys': keys,
});
const BACKUP_JOB = 'bjob_eu_01k9wq3v7hr2m5c8d4x6z0abcd';
const RESTORE_JOB = 'rjob_eu_01k9wq3v7hr2m5c8d4x6z0abcd';

type Row = [allowed: boolean, action: string, resource: string, name: string, context?: Case['context']];

/** Rows of one role, with the region that every request has. */
function rowsOf(
  who: string,
  policies: Omit<Case, 'name' | 'allowed' | 'action' | 'resource' | 'context'>,
  rows: Row[],
) {
  return rows.map(
    ([allowed, action, resource, name, context]): Case => ({
      name: `${who}: ${name}`,
      allowed,
      action,
      resource,
      context: { ...HERE, ...context },
      ...policies,
    }),
  );
}

const vault = backupPolicy(scope);
const account = backupPolicy({ ...scope, storage: 'account' });
const restore = restorePolicy(scope);
const inPlace = restorePolicy({ ...scope, restoreInPlace: true });
const policy = (...Statement: object[]): Document => ({ Version: '2012-10-17', Statement });
const keyPolicy = (...more: object[]) =>
  policy(
    { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${CUSTOMER}:root` }, Action: 'kms:*', Resource: '*' },
    ...more,
  );

const BACKUP = rowsOf('backup', { identity: [vault] }, [
  [true, 'ec2:DescribeInstances', '*', 'looks around in a region of the connection'],
  [false, 'ec2:DescribeInstances', '*', 'looks nowhere else', { 'aws:RequestedRegion': 'us-east-1' }],
  [true, 'ec2:DescribeInstanceAttribute', INSTANCE, 'reads the configuration of a chosen instance', CHOSEN],
  [false, 'ec2:DescribeInstanceAttribute', INSTANCE, 'reads that of no other'],
  [true, 'ec2:CreateSnapshots', INSTANCE, 'snapshots a chosen instance', CHOSEN],
  [false, 'ec2:CreateSnapshots', INSTANCE, 'snapshots none that is not chosen'],
  [
    false,
    'ec2:CreateSnapshots',
    INSTANCE,
    'minds the value of the tag',
    { 'aws:ResourceTag/domicile:backup': 'false' },
  ],
  [false, 'ec2:CreateSnapshots', arn('instance/i-0a', 'us-east-1'), 'snapshots in no other region', CHOSEN],
  [true, 'ec2:CreateSnapshots', VOLUME, 'snapshots the volumes of that instance'],
  [true, 'ec2:CreateSnapshots', SNAPSHOT, 'makes snapshots with our tags', made()],
  [false, 'ec2:CreateSnapshots', SNAPSHOT, "makes none with another tenant's tag", made('ten_eu_somebodyelse')],
  [false, 'ec2:CreateSnapshots', SNAPSHOT, 'makes none with one tag more', made(TENANT, ['managed-by', 'cost'])],
  [false, 'ec2:CreateSnapshots', SNAPSHOT, 'makes none without tags'],
  [true, 'ec2:CreateTags', SNAPSHOT, 'tags while it creates', { ...made(), 'ec2:CreateAction': 'CreateSnapshots' }],
  [false, 'ec2:CreateTags', SNAPSHOT, 'adopts nothing by tagging it', made()],
  [false, 'ec2:CreateTags', SNAPSHOT, 'tags at no other creation', { ...made(), 'ec2:CreateAction': 'CreateSnapshot' }],
  [false, 'ec2:CreateSnapshot', VOLUME, 'takes no snapshot of a single volume'],
  [true, 'ebs:GetSnapshotBlock', SNAPSHOT, 'reads blocks of our snapshots', ours()],
  [true, 'ebs:ListChangedBlocks', SNAPSHOT, 'compares our snapshots', ours()],
  [false, 'ebs:GetSnapshotBlock', SNAPSHOT, 'reads no snapshot that is not ours'],
  [false, 'ebs:GetSnapshotBlock', SNAPSHOT, "reads no other tenant's", theirs],
  [false, 'ebs:PutSnapshotBlock', SNAPSHOT, 'writes no blocks', ours()],
  [true, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes what a backup made', ours(BACKUP_JOB)],
  [false, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes nothing that a restore made', ours(RESTORE_JOB)],
  [false, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes nothing without a job', ours()],
  [false, 'ec2:TerminateInstances', INSTANCE, 'terminates nothing', CHOSEN],
  [false, 'ec2:ModifySnapshotAttribute', SNAPSHOT, 'shares nothing', ours()],
]);

const KEYS = [
  ...rowsOf('keys of a backup', { identity: [vault], resourcePolicy: keyPolicy() }, [
    [true, 'kms:Decrypt', KEY, 'opens under the named key'],
    [false, 'kms:Decrypt', OTHER_KEY, 'opens under no other'],
    [false, 'kms:GenerateDataKey', KEY, 'encrypts nothing'],
    [false, 'kms:CreateGrant', KEY, 'grants nothing', { 'kms:GrantIsForAWSResource': 'true' }],
  ]),
  ...rowsOf(
    'a key that denies',
    {
      identity: [vault],
      resourcePolicy: keyPolicy({ Effect: 'Deny', Principal: '*', Action: 'kms:Decrypt', Resource: '*' }),
    },
    [[false, 'kms:Decrypt', KEY, 'is not opened']],
  ),
  ...rowsOf(
    'a key that trusts another account',
    {
      identity: [vault],
      resourcePolicy: policy({
        Effect: 'Allow',
        Principal: { AWS: 'arn:aws:iam::333333333333:root' },
        Action: 'kms:*',
        Resource: '*',
      }),
    },
    [[false, 'kms:Decrypt', KEY, 'is not opened by its own account']],
  ),
  ...rowsOf(
    'a key that names the role',
    {
      identity: [],
      resourcePolicy: policy({
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${CUSTOMER}:role/backup` },
        Action: 'kms:Decrypt',
        Resource: '*',
      }),
    },
    [
      [true, 'kms:Decrypt', KEY, 'is opened without a policy of the role'],
      [false, 'kms:Encrypt', KEY, 'is not used for anything else'],
    ],
  ),
  ...rowsOf('keys of a restore', { identity: [restore], resourcePolicy: keyPolicy() }, [
    [true, 'kms:CreateGrant', KEY, 'grants to EBS', { 'kms:GrantIsForAWSResource': 'true' }],
    [false, 'kms:CreateGrant', KEY, 'grants to nobody else', { 'kms:GrantIsForAWSResource': 'false' }],
    [false, 'kms:CreateGrant', KEY, 'grants nothing unsaid'],
    [true, 'kms:ReEncryptTo', KEY, 're-encrypts to the named key'],
    [false, 'kms:ScheduleKeyDeletion', KEY, 'deletes no key'],
  ]),
];

const ACCOUNT = rowsOf('account storage', { identity: [account] }, [
  [false, 'ebs:GetSnapshotBlock', SNAPSHOT, 'reads no block of its own snapshots', ours()],
  [false, 'ebs:ListSnapshotBlocks', SNAPSHOT, 'lists none', ours()],
  [false, 'ebs:ListChangedBlocks', SNAPSHOT, 'compares none', ours()],
  [true, 'ec2:CreateSnapshots', INSTANCE, 'snapshots a chosen instance', CHOSEN],
  [true, 'ec2:LockSnapshot', SNAPSHOT, 'locks what it made', ours(BACKUP_JOB)],
  [false, 'ec2:LockSnapshot', SNAPSHOT, "locks no other tenant's", theirs],
  [true, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes what it made', ours(BACKUP_JOB)],
]);

const RESTORE = [
  ...rowsOf('restore', { identity: [restore] }, [
    [true, 'ebs:StartSnapshot', SNAPSHOT, 'starts a snapshot', { ...made(), 'ebs:VolumeSize': '65536' }],
    [false, 'ebs:StartSnapshot', SNAPSHOT, 'starts none over 64 TiB', { ...made(), 'ebs:VolumeSize': '65537' }],
    [false, 'ebs:StartSnapshot', SNAPSHOT, 'starts none without tags', { 'ebs:VolumeSize': '8' }],
    [true, 'ebs:PutSnapshotBlock', SNAPSHOT, 'writes ours', ours()],
    [false, 'ebs:PutSnapshotBlock', SNAPSHOT, 'writes none that is not ours'],
    [
      false,
      'ebs:PutSnapshotBlock',
      SNAPSHOT,
      'writes in no other region',
      { ...ours(), 'aws:RequestedRegion': 'us-east-1' },
    ],
    [true, 'ec2:CreateVolume', VOLUME, 'makes an encrypted volume', { ...made(), 'ec2:Encrypted': 'true' }],
    [false, 'ec2:CreateVolume', VOLUME, 'makes none that is not', { ...made(), 'ec2:Encrypted': 'false' }],
    [true, 'ec2:CreateVolume', SNAPSHOT, 'from our snapshot', ours()],
    [false, 'ec2:CreateVolume', SNAPSHOT, 'from no other', theirs],
    [true, 'ec2:RunInstances', IMAGE, 'launches our image', ours()],
    [true, 'ec2:RunInstances', IMAGE, 'launches a public image', { 'ec2:Public': 'true' }],
    [false, 'ec2:RunInstances', IMAGE, 'launches no other', { 'ec2:Public': 'false' }],
    [
      true,
      'ec2:RunInstances',
      arn('subnet/subnet-1'),
      'in the chosen VPC',
      { 'ec2:Vpc': arn('vpc/vpc-0aaaaaaaaaaaaaaaa') },
    ],
    [false, 'ec2:RunInstances', arn('subnet/subnet-2'), 'in no other', { 'ec2:Vpc': arn('vpc/vpc-0bbbbbbbbbbbbbbbb') }],
    [true, 'ec2:RunInstances', arn('key-pair/k'), 'with a key pair'],
    [true, 'ec2:RunInstances', INSTANCE, 'an instance that is ours', made()],
    [false, 'ec2:RunInstances', INSTANCE, 'none without our tags'],
    [true, 'ec2:AttachVolume', VOLUME, 'attaches our volume', ours()],
    [true, 'ec2:AttachVolume', INSTANCE, 'to a chosen instance', CHOSEN],
    [false, 'ec2:AttachVolume', INSTANCE, 'to no other'],
    [true, 'ec2:CreateTags', VOLUME, 'tags what it creates', { ...made(), 'ec2:CreateAction': 'CreateVolume' }],
    [true, 'ec2:CreateTags', VOLUME, 'tags what is ours', ours()],
    [false, 'ec2:CreateTags', VOLUME, 'adopts no volume', made()],
    [false, 'ec2:StopInstances', INSTANCE, 'stops nothing', CHOSEN],
    [false, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes nothing', ours(RESTORE_JOB)],
  ]),
  ...rowsOf('restore in place', { identity: [inPlace] }, [
    [true, 'ec2:StopInstances', INSTANCE, 'stops a chosen instance', CHOSEN],
    [false, 'ec2:StopInstances', INSTANCE, 'stops no other'],
    [true, 'ec2:CreateReplaceRootVolumeTask', VOLUME, 'puts our root volume in', ours()],
    [false, 'ec2:CreateReplaceRootVolumeTask', VOLUME, 'puts no other in'],
  ]),
  ...rowsOf('clean-up', { identity: [cleanUpPolicy(scope)] }, [
    [true, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes what a restore made', ours(RESTORE_JOB)],
    [false, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes nothing that a backup made', ours(BACKUP_JOB)],
    [true, 'ec2:TerminateInstances', INSTANCE, 'terminates what a restore launched', ours(RESTORE_JOB)],
    [false, 'ec2:TerminateInstances', INSTANCE, "terminates nobody else's", CHOSEN],
    [true, 'ec2:DeregisterImage', IMAGE, 'deregisters what a restore registered', ours(RESTORE_JOB)],
  ]),
];

const named = (document: Document) => ({ identity: [vault], session: document });
const SESSIONS = [
  ...rowsOf('a session that snapshots', named(session.createStep(step, 'i-0123456789abcdef0')), [
    [true, 'ec2:CreateSnapshots', INSTANCE, 'takes its instance', CHOSEN],
    [false, 'ec2:CreateSnapshots', arn('instance/i-0fedcba9876543210'), 'takes no other', CHOSEN],
    [false, 'ebs:GetSnapshotBlock', SNAPSHOT, 'reads nothing', ours()],
  ]),
  ...rowsOf('a session that reads', named(session.readStep(step, ['snap-0123456789abcdef0'], KEY)), [
    [true, 'ebs:GetSnapshotBlock', SNAPSHOT, 'reads its snapshot', ours()],
    [false, 'ebs:GetSnapshotBlock', OTHER_SNAPSHOT, 'reads no other', ours()],
    [false, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes nothing', ours(BACKUP_JOB)],
  ]),
  ...rowsOf(
    'a session of an account-only role that asks to read',
    { identity: [account], session: session.readStep(step, ['snap-0123456789abcdef0'], null) },
    [[false, 'ebs:GetSnapshotBlock', SNAPSHOT, 'reads nothing', ours()]],
  ),
  ...rowsOf('a session that deletes', named(session.deleteStep(step)), [
    [true, 'ec2:DeleteSnapshot', SNAPSHOT, 'deletes what is ours', ours(BACKUP_JOB)],
    [
      false,
      'ec2:DeleteSnapshot',
      SNAPSHOT,
      'deletes nothing else',
      { ...theirs, 'aws:ResourceTag/domicile:job': BACKUP_JOB },
    ],
  ]),
  ...rowsOf('a session that looks', named(session.describeStep(step)), [
    [true, 'ec2:DescribeVolumes', '*', 'looks in its region'],
    [false, 'ec2:DescribeVolumes', '*', 'not in another of the connection', { 'aws:RequestedRegion': 'eu-west-1' }],
    [false, 'ec2:DescribeImages', '*', 'looks at nothing that its role may not'],
  ]),
  ...rowsOf(
    'a session that writes',
    { identity: [restore], session: restoring.writeStep(step, 'snap-0123456789abcdef0', KEY) },
    [
      [true, 'ebs:PutSnapshotBlock', SNAPSHOT, 'writes its snapshot', ours()],
      [false, 'ebs:PutSnapshotBlock', OTHER_SNAPSHOT, 'writes no other', ours()],
    ],
  ),
  ...rowsOf(
    'a session that makes a volume',
    { identity: [restore], session: restoring.volumeStep(step, 'snap-0123456789abcdef0', KEY) },
    [
      [true, 'ec2:CreateVolume', SNAPSHOT, 'from its snapshot', ours()],
      [false, 'ec2:CreateVolume', OTHER_SNAPSHOT, 'from no other', ours()],
      [false, 'ec2:CreateVolume', VOLUME, 'never an unencrypted one', { ...made(), 'ec2:Encrypted': 'false' }],
    ],
  ),
  ...rowsOf(
    'a session that launches',
    { identity: [restore], session: restoring.launchStep(step, 'ami-0123456789abcdef0') },
    [
      [true, 'ec2:RunInstances', IMAGE, 'its image', ours()],
      [false, 'ec2:RunInstances', `arn:aws:ec2:${REGION}::image/ami-0fedcba9876543210`, 'no other', ours()],
    ],
  ),
  ...rowsOf('a session that probes', { identity: [inPlace], session: session.probeStep(step) }, [
    [true, 'ec2:StopInstances', INSTANCE, 'asks whether it could stop', CHOSEN],
    [false, 'ebs:StartSnapshot', SNAPSHOT, 'could write nothing', { ...made(), 'ebs:VolumeSize': '8' }],
  ]),
];

/** Questions about the documents that the product builds. */
export const PRODUCT_CASES: readonly Case[] = [...BACKUP, ...KEYS, ...ACCOUNT, ...RESTORE, ...SESSIONS];
