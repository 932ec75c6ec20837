import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import type { Answer, Api } from '../api-client.ts';
import { EXIT } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { listItems } from '../listing.ts';
import { nextSteps, writePolicies } from '../role-files.ts';
import type { Session } from '../session.ts';
import { facts, formatTime } from '../table.ts';
import { collect, limitOption, parseTag, positiveInteger, showList } from './list-output.ts';

type Connection = Answer<'GET /v1/connections/{id}'>;

const POLL_MS = 1000;

function connectionLines(connection: Connection): string[] {
  return [
    ...facts({
      connection: connection.id,
      state: connection.state,
      why: connection.stateDetail,
      account: connection.awsAccountId,
      regions: connection.awsRegions.join(', '),
      tag: `${connection.tag.key}=${connection.tag.value}`,
      vpcs: connection.vpcIds.join(', '),
      'kms keys': connection.kmsKeyArns.join(', '),
      restore: connection.restore ? 'yes' : 'no',
      role: connection.roleArn,
      'external id': connection.externalId,
      verified: formatTime(connection.lastVerifiedAt) ?? 'never',
    }),
    ...connection.missing.map((gap) => `Missing: ${gap.action} in ${gap.awsRegion}: ${gap.detail}`),
  ];
}

/** Polls until a verification later than the one at `before` has ended. */
async function verified(session: Session, api: Api, before: Connection, timeoutSeconds: number): Promise<Connection> {
  const { clock, signal, terminal } = session;
  const startedMs = clock.now().getTime();
  for (;;) {
    const now = await api.call('GET /v1/connections/{id}', { params: { id: before.id } });
    if (now.lastVerifiedAt !== before.lastVerifiedAt) {
      if (terminal.interactive) terminal.draw('');
      return now;
    }
    const seconds = Math.floor((clock.now().getTime() - startedMs) / 1000);
    if (seconds >= timeoutSeconds) {
      throw new Failure(EXIT.unreachable, `No verification within ${timeoutSeconds} s`, {
        next: `Look again later: domicile connections show ${before.id}`,
      });
    }
    if (terminal.interactive) terminal.draw(`Verifying: ${seconds} s`);
    await clock.sleep(POLL_MS, signal);
    signal.throwIfAborted();
  }
}

async function verify(session: Session, id: string, options: { wait?: true; timeoutSeconds: number }): Promise<void> {
  const api = session.api();
  const queued = await api.call('POST /v1/connections/{id}/verify', { params: { id } });
  if (!options.wait) {
    session.show(queued, () => connectionLines(queued));
    return session.hint(`Verification is queued. See its result: ${session.invocation} connections show ${id}`);
  }
  const connection = await verified(session, api, queued, options.timeoutSeconds);
  session.show(connection, () => connectionLines(connection));
  if (connection.state !== 'CONNECTED') session.setExitCode(EXIT.awsAccount);
}

/** Shows a connection with what is to be done in the account; `out` also writes the policies there. */
function showWithSteps(session: Session, connection: Connection, out: string | undefined): void {
  if (out !== undefined) writePolicies(out, connection);
  session.show(connection, () => [
    ...connectionLines(connection),
    ...(out !== undefined || connection.state === 'PENDING'
      ? ['', ...nextSteps(connection, out, session.invocation)]
      : []),
  ]);
}

function addCreate(connections: CommandUnknownOpts, session: Session): void {
  connections
    .command('create')
    .description('Connect an AWS account: makes the External ID and the policies, and says how to create the role.')
    .requiredOption('--account <id>', 'the 12 digits of the AWS account')
    .requiredOption('--region <region>', 'AWS region whose instances may be backed up (repeatable)', collect)
    .requiredOption('--tag <key=value>', 'only instances with this tag are ever touched', parseTag)
    .option('--vpc <id>', 'only instances in this VPC (repeatable)', collect)
    .option('--kms-key <arn>', 'customer-managed key of encrypted volumes (repeatable)', collect)
    .addOption(
      new Option('--storage <where>', 'vault: blocks are copied into the cell; account: EBS snapshots never leave it')
        .choices(['vault', 'account'] as const)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--dedup <among>', 'store equal blocks once in a volume, or once among all volumes with "tenant"')
        .choices(['volume', 'tenant'] as const)
        .default('volume' as const),
    )
    .option('--restore', 'also ask for the rights that restores need')
    .option('--restore-in-place', 'also ask for stopping tagged instances and swapping their volumes')
    .option('--clean-up', 'also ask for a role that deletes what restore jobs made and no longer need')
    .option('--out <dir>', 'write the policies as files there, ready for the aws command')
    .action(async (options) => {
      const body = {
        awsAccountId: options.account,
        awsRegions: options.region,
        tag: options.tag,
        vpcIds: options.vpc,
        kmsKeyArns: options.kmsKey,
        storage: options.storage,
        dedup: options.dedup,
        restore: options.restore === true,
        restoreInPlace: options.restoreInPlace === true,
        cleanUp: options.cleanUp === true,
      };
      showWithSteps(session, await session.api().call('POST /v1/connections', { body }), options.out);
    });
}

export function addConnections(program: CommandUnknownOpts, session: Session): void {
  const connections = program.command('connections').description('AWS accounts that are backed up.');
  addCreate(connections, session);
  connections
    .command('list')
    .description('List connections.')
    .addOption(limitOption())
    .action(async ({ limit }) =>
      showList(session, 'connections', await listItems(session.api(), 'GET /v1/connections', limit), [
        { title: 'CONNECTION', text: (item) => item.id },
        { title: 'STATE', text: (item) => item.state },
        { title: 'ACCOUNT', text: (item) => item.awsAccountId },
        { title: 'REGIONS', text: (item) => item.awsRegions.join(',') },
        { title: 'TAG', text: (item) => `${item.tag.key}=${item.tag.value}` },
        { title: 'RESTORE', text: (item) => (item.restore ? 'yes' : 'no') },
        { title: 'VERIFIED', text: (item) => formatTime(item.lastVerifiedAt) },
      ]),
    );
  connections
    .command('show <id>')
    .description('One connection; while it is PENDING, also how to create its role.')
    .option('--out <dir>', 'write the policies as files there, ready for the aws command')
    .action(async (id, { out }) =>
      showWithSteps(session, await session.api().call('GET /v1/connections/{id}', { params: { id } }), out),
    );
  connections
    .command('verify <id>')
    .description('Verify the role: with our External ID, without one, and with a wrong one.')
    .option('--wait', 'wait for the result; exit code 7 unless it is CONNECTED')
    .option('--timeout-seconds <n>', 'wait at most this long', positiveInteger, 120)
    .action((id, options) => verify(session, id, options));
  connections
    .command('delete <id>')
    .description('Disconnect: no further call to the account. Recovery points stay.')
    .action(async (id) => {
      await session.api().call('DELETE /v1/connections/{id}', { params: { id } });
      session.show({ id, deleted: true }, () => [`${id}  disconnected`]);
    });
}
