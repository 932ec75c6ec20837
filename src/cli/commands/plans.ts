import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Answer } from '../api-client.ts';
import { usageError } from '../failure.ts';
import { listItems } from '../listing.ts';
import { selectionText } from '../selection-text.ts';
import type { Session } from '../session.ts';
import { facts, formatTime, table } from '../table.ts';
import { retentionOf } from './backup.ts';
import { collect, collectTags, limitOption, positiveInteger, showList } from './list-output.ts';
import { collectTagPatterns, parseExpression, volumeRules } from './selection-options.ts';

type Plan = Answer<'GET /v1/backup-plans/{id}'>;
type Rule = Plan['rules'][number];

function retentionText({ retention: { keepLast, deleteAfterDays } }: Rule): string {
  const parts = [keepLast && `newest ${keepLast}`, deleteAfterDays && `${deleteAfterDays} days`];
  return parts.filter(Boolean).join(' or ');
}

function nextRun({ paused, rules }: Plan): string | null {
  if (paused) return 'paused';
  return formatTime(rules.flatMap(({ nextRunAt }) => nextRunAt ?? []).sort()[0] ?? null);
}

function planLines(plan: Plan): string[] {
  return [
    ...facts({ plan: plan.id, name: plan.name, 'next run': nextRun(plan), changed: formatTime(plan.updatedAt) }),
    ...table(
      [
        { title: 'RULE', text: (rule) => rule.name },
        { title: 'SCHEDULE', text: (rule) => `${rule.cron} ${rule.timeZone}` },
        { title: 'START WITHIN', text: (rule) => `${rule.startWindowMinutes} min` },
        { title: 'KEEPS', text: retentionText },
        { title: 'NEXT RUN', text: (rule) => formatTime(rule.nextRunAt) },
      ],
      plan.rules,
    ),
    ...plan.selections.map((selection) => `Selects ${selectionText(selection)}`),
  ];
}

function ruleInput({ id, name, cron, timeZone, startWindowMinutes, retention }: Rule) {
  return { id, name, cron, timeZone, startWindowMinutes, retention };
}

/** Replaces a plan by itself, paused or not; the API replaces plans whole. */
async function setPaused(session: Session, id: string, paused: boolean): Promise<void> {
  const api = session.api();
  const { name, rules } = await api.call('GET /v1/backup-plans/{id}', { params: { id } });
  const body = { name, rules: rules.map(ruleInput), paused };
  const plan = await api.call('PUT /v1/backup-plans/{id}', { params: { id }, body });
  session.show(plan, () => planLines(plan));
}

function addCreate(plans: CommandUnknownOpts, session: Session): void {
  plans
    .command('create')
    .description('Create a backup plan with one rule and one selection.')
    .requiredOption('--name <name>', 'name of the plan')
    .requiredOption('--cron <expression>', 'five fields: minute hour day month weekday, such as "0 3 * * *"')
    .requiredOption('--time-zone <zone>', 'IANA time zone of the schedule, such as Europe/Berlin')
    .option('--connection <id>', 'connection whose instances are selected (needed without --match)')
    .option(
      '--tag <key=value>',
      'select instances with this tag, * for any text (repeatable: all must match)',
      collectTags,
    )
    .option('--instance <id>', 'select this EC2 instance (repeatable)', collect)
    .option('--exclude-instance <id>', 'never this instance (repeatable)', collect)
    .option('--match <json>', 'select by an expression (and, or, not) as JSON, or @file with one', parseExpression)
    .option('--exclude-volume <id>', 'never this volume (repeatable)', collect)
    .option('--exclude-device <name>', 'never volumes at this device name, * for any text (repeatable)', collect)
    .option('--exclude-volume-tag <key[=value]>', 'never volumes with this tag (repeatable)', collectTagPatterns)
    .option('--exclude-root', 'never the root volume')
    .option('--keep-last <n>', 'keep the newest n points of each instance', positiveInteger)
    .option('--delete-after-days <n>', 'keep points at least this long', positiveInteger)
    .option('--start-window-minutes <n>', 'a job not started by then has EXPIRED', positiveInteger, 60)
    .action(async (options) => {
      const retention = retentionOf(options);
      if (!retention) throw usageError('How long are points kept?', 'Give --keep-last, --delete-after-days or both.');
      const { name, cron, timeZone, startWindowMinutes } = options;
      const selection = {
        connectionId: options.connection,
        match: options.match,
        tags: options.tag,
        instanceIds: options.instance,
        excludeInstanceIds: options.excludeInstance,
        excludeVolumeIds: options.excludeVolume,
        excludeVolumes: volumeRules(options),
      };
      const rules = [{ name, cron, timeZone, startWindowMinutes, retention }];
      const plan = await session
        .api()
        .call('POST /v1/backup-plans', { body: { name, rules, selections: [selection] } });
      session.show(plan, () => planLines(plan));
    });
}

export function addPlans(program: CommandUnknownOpts, session: Session): void {
  const plans = program.command('plans').description('Backup plans: schedule, retention, which instances.');
  addCreate(plans, session);
  plans
    .command('list')
    .description('List backup plans.')
    .addOption(limitOption())
    .action(async ({ limit }) =>
      showList(session, 'plans', await listItems(session.api(), 'GET /v1/backup-plans', limit), [
        { title: 'PLAN', text: (plan) => plan.id },
        { title: 'NAME', text: (plan) => plan.name },
        { title: 'SCHEDULE', text: (plan) => plan.rules.map((rule) => `${rule.cron} ${rule.timeZone}`).join('; ') },
        { title: 'KEEPS', text: (plan) => plan.rules.map(retentionText).join('; ') },
        { title: 'NEXT RUN', text: nextRun },
      ]),
    );
  plans
    .command('show <id>')
    .description('One backup plan with its rules and selections.')
    .action(async (id) => {
      const plan = await session.api().call('GET /v1/backup-plans/{id}', { params: { id } });
      session.show(plan, () => planLines(plan));
    });
  plans
    .command('pause <id>')
    .description('Stop scheduling; what runs goes on, what is stored stays.')
    .action((id) => setPaused(session, id, true));
  plans
    .command('resume <id>')
    .description('Schedule again.')
    .action((id) => setPaused(session, id, false));
  plans
    .command('delete <id>')
    .description('Delete a plan; its recovery points stay until they are deleted by hand.')
    .action(async (id) => {
      await session.api().call('DELETE /v1/backup-plans/{id}', { params: { id } });
      session.show({ id, deleted: true }, () => [`${id}  deleted`]);
    });
}
