import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { listItems } from '../listing.ts';
import { keepKey } from '../key-file.ts';
import type { Session } from '../session.ts';
import { formatTime, table } from '../table.ts';
import { limitOption, showList } from './list-output.ts';

function addApiKeys(program: CommandUnknownOpts, session: Session): void {
  const keys = program.command('api-keys').description('API keys of the tenant.');
  keys
    .command('create')
    .description('Make another API key; it is shown this once.')
    .requiredOption('--name <name>', 'what it is for')
    .option('--key-file <file>', 'write the key there, readable only by you, instead of showing it')
    .action(async ({ name, keyFile }) => {
      const created = await keepKey(keyFile, () => session.api().call('POST /v1/api-keys', { body: { name } }));
      session.show(created, () => [`${created.id}  ${created.apiKey ?? `key in ${keyFile}`}`]);
      if (keyFile === undefined) session.hint('Store it now: it is not shown again.');
    });
  keys
    .command('list')
    .description('List API keys, without their secrets.')
    .addOption(limitOption())
    .action(async ({ limit }) =>
      showList(session, 'API keys', await listItems(session.api(), 'GET /v1/api-keys', limit), [
        { title: 'KEY', text: (key) => key.id },
        { title: 'NAME', text: (key) => key.name },
        { title: 'BEGINS', text: (key) => key.prefix },
        { title: 'CREATED', text: (key) => formatTime(key.createdAt) },
        { title: 'LAST USED', text: (key) => formatTime(key.lastUsedAt) },
        { title: 'REVOKED', text: (key) => formatTime(key.revokedAt) },
      ]),
    );
  keys
    .command('revoke <id>')
    .description('Revoke an API key, now.')
    .action(async (id) => {
      await session.api().call('DELETE /v1/api-keys/{id}', { params: { id } });
      session.show({ id, revoked: true }, () => [`${id}  revoked`]);
    });
}

/** Commands about the tenant itself: its keys, what was done, where it lives. */
export function addAccount(program: CommandUnknownOpts, session: Session): void {
  addApiKeys(program, session);
  program
    .command('audit')
    .description('The audit log.')
    .command('list')
    .description('List every change, newest first.')
    .option('--resource <id>', 'only changes of this resource')
    .option('--action <action>', 'only this action, such as connection.create')
    .addOption(limitOption())
    .action(async ({ limit, resource, action }) => {
      const events = await listItems(session.api(), 'GET /v1/audit-events', limit, { resource, action });
      showList(session, 'audit events', events, [
        { title: 'TIME', text: (event) => formatTime(event.time) },
        { title: 'ACTION', text: (event) => event.action },
        { title: 'RESOURCE', text: (event) => event.resource },
        { title: 'ACTOR', text: (event) => `${event.actor.type} ${event.actor.id}` },
        { title: 'REQUEST', text: (event) => event.requestId },
      ]);
    });
  program
    .command('regions')
    .description('Cells, their jurisdictions and AWS regions. Needs no login, only --url.')
    .action(async () => {
      const { items } = await session.publicApi().call('GET /v1/regions');
      session.show({ items }, () =>
        table(
          [
            { title: 'CELL', text: (region) => region.cell },
            { title: 'JURISDICTION', text: (region) => region.jurisdiction },
            { title: 'URL', text: (region) => region.url },
            { title: 'AWS REGIONS', text: (region) => region.awsRegions.join(' ') },
          ],
          items,
        ),
      );
    });
}
