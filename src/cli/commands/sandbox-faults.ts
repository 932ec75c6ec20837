import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { usageError } from '../failure.ts';
import { createSandboxAccess } from '../sandbox-control.ts';
import type { Session } from '../session.ts';
import { facts, table } from '../table.ts';
import { dirOption, tokenOption } from './sandbox-options.ts';

type Fault = { id: string; kind: string; match: Record<string, string>; matched: number; met: number };

/** Leaves out what was not given: the sandbox has its own defaults. */
const given = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function addAdd(faults: CommandUnknownOpts, session: Session): void {
  faults
    .command('add')
    .description('Make calls fail from now on. The sandbox names every mistake in a rule.')
    .argument(
      '<kind>',
      'throttle, error, http500, http502, http503, http504, slow, hang, reset, cutBody, corruptBody, wrongChecksum, notFound, denied or expiredToken',
    )
    .option('--service <name>', 'only calls of this service: ebs, ec2, s3, kms, sts, iam')
    .option('--operation <name>', "only this operation, by AWS's name: GetSnapshotBlock")
    .option('--account <id>', 'only calls by principals of this account')
    .option('--region <name>', 'only calls in this region')
    .option('--resource <text>', 'only calls that name this: an id, a bucket, a part of a key')
    .option('--skip <count>', 'let so many calls pass first', Number)
    .option('--times <count>', 'meet at most so many calls', Number)
    .option('--probability <share>', 'meet this share of the calls', Number)
    .option('--seed <text>', 'the same seed meets the same calls')
    .option('--after-work', 'AWS does what was asked, and the answer is lost')
    .option('--ms <ms>', 'slow: by how much', Number)
    .option('--status <status>', 'error: its HTTP status', Number)
    .option('--code <code>', "error: AWS's code")
    .option('--message <text>', 'error: its message')
    .option('--reason <reason>', 'throttle of EBS direct: which limit')
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async (kind, { dir, adminTokenFile, service, operation, account, region, resource, ...rule }) => {
      const match = given({ service, operation, accountId: account, awsRegion: region, resource });
      const access = createSandboxAccess(session, { dir, adminTokenFile });
      const fault = await access.call('POST', 'faults', { kind, match, ...given(rule) });
      session.show(fault, () => facts({ fault: String(fault['id']), kind }));
    });
}

/** `domicile sandbox faults …`. */
export function addFaults(sandbox: CommandUnknownOpts, session: Session): void {
  const faults = sandbox.command('faults').description('Faults on demand.');
  addAdd(faults, session);
  faults
    .command('list')
    .description('The faults in force, how many calls each fitted and how many it met.')
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async (options) => {
      const answer = await createSandboxAccess(session, options).call('GET', 'faults');
      session.show(answer, () =>
        table<Fault>(
          [
            { title: 'FAULT', text: ({ id }) => id },
            { title: 'KIND', text: ({ kind }) => kind },
            { title: 'CALLS', text: ({ match }) => Object.values(match).join(' ') || 'all' },
            { title: 'MATCHED', text: ({ matched }) => matched },
            { title: 'MET', text: ({ met }) => met },
          ],
          answer['items'] as Fault[],
        ),
      );
    });
  faults
    .command('remove')
    .description('End a fault, or all of them.')
    .argument('[id]', 'the fault')
    .option('--all', 'all faults')
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async (id, { all, ...options }) => {
      if ((id === undefined) === (all === undefined)) throw usageError('Name a fault, or give --all');
      await createSandboxAccess(session, options).call('DELETE', id === undefined ? 'faults' : `faults/${id}`);
      session.show({ removed: id ?? 'all' }, () => [`removed ${id ?? 'all faults'}`]);
    });
}
