import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Answer } from '../api-client.ts';
import { listItems } from '../listing.ts';
import type { Session } from '../session.ts';
import { facts, formatBytes, formatTime, table } from '../table.ts';
import { limitOption, showList } from './list-output.ts';

type RecoveryPoint = Answer<'GET /v1/recovery-points/{id}'>;
type Damage = NonNullable<RecoveryPoint['verification']>['damage'][number];

const sizeOf = ({ volumes }: Pick<RecoveryPoint, 'volumes'>) =>
  formatBytes(volumes.reduce((sum, { volumeBytes }) => sum + volumeBytes, 0));

function lossOf({ blocks, firstBlock }: Damage): string {
  if (blocks === null) return 'all of it';
  return blocks === 0 ? 'nothing' : `${blocks} blocks${firstBlock === null ? '' : `, the first is ${firstBlock}`}`;
}

function verificationLines({ verification }: RecoveryPoint): string[] {
  if (!verification) return ['Not verified yet.'];
  const { damage, lastBytes, lastExistence } = verification;
  if (damage.length === 0 && lastExistence === null && lastBytes === null) return ['Not verified yet.'];
  const lines = facts({
    'all there': formatTime(lastExistence) ?? 'not looked at yet',
    'every byte read since': formatTime(lastBytes) ?? 'not yet',
    damage: damage.length === 0 ? 'none found' : `${damage.length} objects`,
  });
  if (damage.length === 0) return lines;
  const found = table(
    [
      { title: 'DAMAGE', text: (one) => one.class },
      { title: 'VOLUME', text: (one) => one.volumeId },
      { title: 'LOST', text: lossOf },
      { title: 'FOUND', text: (one) => formatTime(one.foundAt) },
      { title: 'OBJECT', text: (one) => one.object },
    ],
    damage,
  );
  return [...lines, ...found];
}

function pointLines(point: RecoveryPoint): string[] {
  return [
    ...facts({
      'recovery point': point.id,
      state: point.state,
      kind: point.kind,
      instance: `${point.instanceId}${point.instance.name === null ? '' : ` (${point.instance.name})`}`,
      type: point.instance.instanceType,
      region: `${point.awsRegion} (${point.instance.availabilityZone})`,
      'point in time': formatTime(point.pointInTime),
      created: formatTime(point.createdTime),
      expires: formatTime(point.expiresAt) ?? 'when its rule or its owner says so',
      plan: point.planId,
      job: point.backupJobId,
    }),
    ...table(
      [
        { title: 'VOLUME', text: (volume) => volume.volumeId },
        { title: 'DEVICE', text: (volume) => volume.deviceName },
        { title: 'KIND', text: (volume) => volume.kind },
        { title: 'SIZE', text: (volume) => formatBytes(volume.volumeBytes) },
        { title: 'STORED', text: (volume) => formatBytes(volume.bytesStored) },
        { title: 'ENCRYPTED', text: (volume) => (volume.encrypted ? (volume.kmsKeyArn ?? 'yes') : 'no') },
      ],
      point.volumes,
    ),
    ...point.excludedVolumes.map(
      ({ volumeId, deviceName, detail }) => `Left out: ${volumeId} (${deviceName}): ${detail}`,
    ),
    ...(point.storage === 'vault' ? verificationLines(point) : []),
  ];
}

function addDeletions(program: CommandUnknownOpts, session: Session): void {
  const deletions = program.command('deletions').description('Requested deletions of recovery points.');
  deletions
    .command('list')
    .description('List deletion requests, newest first.')
    .addOption(limitOption())
    .action(async ({ limit }) =>
      showList(session, 'deletion requests', await listItems(session.api(), 'GET /v1/deletion-requests', limit), [
        { title: 'REQUEST', text: (item) => item.id },
        { title: 'STATE', text: (item) => item.state },
        { title: 'RECOVERY POINT', text: (item) => item.recoveryPointId },
        { title: 'NOT BEFORE', text: (item) => formatTime(item.notBefore) },
      ]),
    );
  deletions
    .command('cancel <id>')
    .description('Cancel a deletion that has not happened yet.')
    .action(async (id) => {
      const request = await session.api().call('POST /v1/deletion-requests/{id}/cancel', { params: { id } });
      session.show(request, () => [`${request.id}  ${request.state}`]);
    });
}

export function addRecoveryPoints(program: CommandUnknownOpts, session: Session): void {
  const points = program.command('recovery-points').description('What can be restored.');
  points
    .command('list')
    .description('List recovery points, newest first.')
    .option('--connection <id>', 'only of this connection')
    .option('--instance <id>', 'only of this EC2 instance')
    .option('--plan <id>', 'only of this plan')
    .addOption(limitOption())
    .action(async ({ limit, connection: connectionId, instance: instanceId, plan: planId }) => {
      const filters = { connectionId, instanceId, planId };
      showList(session, 'recovery points', await listItems(session.api(), 'GET /v1/recovery-points', limit, filters), [
        { title: 'RECOVERY POINT', text: (point) => point.id },
        { title: 'STATE', text: (point) => point.state },
        { title: 'KIND', text: (point) => point.kind },
        { title: 'INSTANCE', text: (point) => point.instanceId },
        { title: 'REGION', text: (point) => point.awsRegion },
        { title: 'VOLUMES', text: (point) => point.volumes.length },
        { title: 'SIZE', text: sizeOf },
        { title: 'POINT IN TIME', text: (point) => formatTime(point.pointInTime) },
      ]);
    });
  points
    .command('show <id>')
    .description('One recovery point with its volumes.')
    .action(async (id) => {
      const point = await session.api().call('GET /v1/recovery-points/{id}', { params: { id } });
      session.show(point, () => pointLines(point));
    });
  points
    .command('delete <id>')
    .description('Ask for a recovery point to be deleted, after a delay in which it can be cancelled.')
    .action(async (id) => {
      const request = await session.api().call('DELETE /v1/recovery-points/{id}', { params: { id } });
      session.show(request, () => [`${request.id}  ${request.state}  not before ${formatTime(request.notBefore)}`]);
      session.hint(`Until then: ${session.invocation} deletions cancel ${request.id}`);
    });
  addDeletions(program, session);
}
