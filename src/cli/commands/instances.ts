import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Answer, Api } from '../api-client.ts';
import { usageError } from '../failure.ts';
import { listItems } from '../listing.ts';
import type { Session } from '../session.ts';
import { facts, formatBytes, formatTime, table } from '../table.ts';
import { limitOption, showList } from './list-output.ts';

type Explanation = Answer<'GET /v1/instances/{id}/explain'>;
type Plan = Explanation['plans'][number];

const UNDISCOVERED =
  'Only instances within the tag, VPCs and regions of a connection are: domicile connections list shows them.';

/** `ins_…` is an id of ours; an EC2 id is looked up. The same instance may be seen by two connections. */
async function instanceId(api: Api, id: string): Promise<string> {
  if (!/^i-[0-9a-f]+$/.test(id)) return id;
  const { items } = await listItems(api, 'GET /v1/instances', 2, { instanceId: id });
  const [only, other] = items;
  if (!only) throw usageError(`${id} has not been discovered`, UNDISCOVERED);
  if (!other) return only.id;
  throw usageError(`${id} is seen by several connections`, `Name it by its own id: ${only.id} or ${other.id}`);
}

function nextRun({ paused, rules }: Plan): string | null {
  return paused ? 'paused' : formatTime(rules.flatMap(({ nextRunAt }) => nextRunAt ?? []).sort()[0] ?? null);
}

const OUTCOMES = { selected: 'selects it', not_selected: 'does not select it', excluded: 'excludes it' };

function planLines({ name, selections, excludedVolumes }: Plan): string[] {
  return [
    '',
    `Plan ${name}`,
    ...selections.flatMap(({ selectionId, outcome, because }) => [
      `  ${selectionId} ${OUTCOMES[outcome]}`,
      ...because.map(({ pointer, detail }) => `    ${detail}  (${pointer})`),
    ]),
    ...(selections.length === 0 ? ['  It has no selection.'] : []),
    ...excludedVolumes.map(
      ({ volumeId, deviceName, detail, selectionId, pointer }) =>
        `  leaves out ${volumeId} (${deviceName}): ${detail}  (${selectionId}${pointer})`,
    ),
  ];
}

function explanationLines(explanation: Explanation): string[] {
  const { instanceId: ec2Id, name, plans, obstacles } = explanation;
  return [
    ...facts({
      instance: `${ec2Id}${name === null ? '' : ` (${name})`}`,
      id: explanation.id,
      state: explanation.state,
      'as of': formatTime(explanation.discoveredAt),
      connection: explanation.connectionId,
      protected: explanation.protected ? 'yes' : 'no',
      why: explanation.why,
    }),
    ...obstacles.map(({ code, detail }) => `In the way: ${detail} (${code})`),
    ...(plans.length === 0
      ? []
      : table(
          [
            { title: 'PLAN', text: (plan) => plan.name },
            { title: 'SELECTED', text: (plan) => (plan.selected ? 'yes' : 'no') },
            { title: 'VOLUMES', text: (plan) => plan.includedVolumeIds.join(', ') || null },
            { title: 'NEXT RUN', text: nextRun },
          ],
          plans,
        )),
    ...plans.flatMap(planLines),
  ];
}

type Filters = { connectionId: string | undefined; awsRegion: string | undefined };

async function showUnprotected(session: Session, limit: number, filters: Filters): Promise<void> {
  const listing = await listItems(session.api(), 'GET /v1/instances/unprotected', limit, filters);
  showList(session, 'unprotected instances', listing, [
    { title: 'INSTANCE', text: (item) => item.instanceId },
    { title: 'NAME', text: (item) => item.name },
    { title: 'STATE', text: (item) => item.state },
    { title: 'REGION', text: (item) => item.awsRegion },
    { title: 'CONNECTION', text: (item) => item.connectionId },
    { title: 'WHY', text: (item) => item.why },
  ]);
}

async function showInstances(session: Session, limit: number, filters: Filters): Promise<void> {
  showList(session, 'instances', await listItems(session.api(), 'GET /v1/instances', limit, filters), [
    { title: 'INSTANCE', text: (item) => item.instanceId },
    { title: 'NAME', text: (item) => item.name },
    { title: 'STATE', text: (item) => item.state },
    { title: 'TYPE', text: (item) => item.instanceType },
    { title: 'ZONE', text: (item) => item.availabilityZone },
    {
      title: 'VOLUMES',
      text: (item) => item.volumes.map((v) => `${v.volumeId} ${formatBytes(v.volumeBytes)}`).join(', '),
    },
    { title: 'CONNECTION', text: (item) => item.connectionId },
  ]);
}

export function addInstances(program: CommandUnknownOpts, session: Session): void {
  const instances = program.command('instances').description('EC2 instances that were discovered.');
  instances
    .command('list')
    .description('List instances within the limits of the connections.')
    .option('--connection <id>', 'only of this connection')
    .option('--region <region>', 'only in this AWS region')
    .option('--unprotected', 'only those that no plan backs up, with why not')
    .addOption(limitOption())
    .action(async ({ limit, connection: connectionId, region: awsRegion, unprotected }) => {
      const show = unprotected ? showUnprotected : showInstances;
      await show(session, limit, { connectionId, awsRegion });
    });
  instances
    .command('explain <id>')
    .description('Which plans back up an instance (EC2 id or ours), by which of their selections, and why not.')
    .action(async (id) => {
      const api = session.api();
      const params = { id: await instanceId(api, id) };
      const explanation = await api.call('GET /v1/instances/{id}/explain', { params });
      session.show(explanation, () => explanationLines(explanation));
    });
}
