import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type CommandUnknownOpts, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { EXIT } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import { createSandboxAccess } from '../sandbox-control.ts';
import type { Session } from '../session.ts';
import { facts, table } from '../table.ts';
import { addFaults } from './sandbox-faults.ts';
import { dirOption, tokenOption } from './sandbox-options.ts';

const PROGRAM = fileURLToPath(new URL('../../sandbox/main.ts', import.meta.url));
const UNITS_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `+7d`, `-90m`, `0` → milliseconds. */
function offset(text: string): number {
  const [, sign, amount = '', unit = ''] = /^([+-]?)(\d+)([smhd])$/.exec(text) ?? [];
  if (text === '0') return 0;
  if (amount === '') throw new InvalidArgumentError('It must be 0 or a time such as +7d, +90m or -30s.');
  return Number(amount) * (UNITS_MS[unit] ?? 0) * (sign === '-' ? -1 : 1);
}

function addStart(sandbox: CommandUnknownOpts, session: Session): void {
  sandbox
    .command('start')
    .description('Run a sandbox AWS on loopback until Ctrl-C.')
    .option('--port <number>', 'port to listen on (default: a free one)')
    .addOption(dirOption())
    .option('--quotas', 'limit request rates as AWS does')
    .action(async ({ port, dir, quotas }) => {
      const args = [
        '--dir',
        resolve(session.folder, dir),
        ...(port ? ['--port', port] : []),
        ...(quotas ? ['--quotas'] : []),
      ];
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
        detached: true,
      });
      const stop = () => void child.kill('SIGTERM');
      session.signal.addEventListener('abort', stop, { once: true });
      createInterface({ input: child.stdout }).on('line', (line) => session.terminal.out(line));
      const [code] = (await once(child, 'exit')) as [number | null];
      if (code !== 0) session.setExitCode(EXIT.jobFailed);
    });
}

function addCalls(sandbox: CommandUnknownOpts, session: Session): void {
  sandbox
    .command('calls')
    .description('How often who called what, where, and how it ended.')
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async (options) => {
      const answer = await createSandboxAccess(session, options).call('GET', 'calls/summary');
      const items = answer['items'] as Record<string, string | number>[];
      const column = (title: string, name: string) => ({
        title,
        text: (row: Record<string, string | number>) => row[name] ?? null,
      });
      session.show(answer, () =>
        table(
          [
            column('CALLER', 'callerArn'),
            column('REGION', 'awsRegion'),
            column('SERVICE', 'service'),
            column('OPERATION', 'operation'),
            column('STATUS', 'status'),
            column('COUNT', 'count'),
          ],
          items,
        ),
      );
    });
}

function addSettings(sandbox: CommandUnknownOpts, session: Session): void {
  sandbox
    .command('settings')
    .description('Show the standing behaviours, or change some.')
    .addOption(new Option('--quotas <state>', 'limit request rates as AWS does').choices(['on', 'off'] as const))
    .option('--snapshot-visible-after <ms>', 'how long a started snapshot is not found', Number)
    .option('--snapshot-completes-after <ms>', 'how long a snapshot takes to complete', Number)
    .option('--iam-effective-after <ms>', 'after how long a change of roles and policies takes effect', Number)
    .option('--limits <json>', 'limits of accounts: {"111111111111": {"pendingSnapshots": 2}}')
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async ({ dir, adminTokenFile, ...options }) => {
      const change: Record<string, unknown> = {
        ...(options.quotas === undefined ? {} : { quotas: options.quotas === 'on' }),
        ...(options.snapshotVisibleAfter === undefined ? {} : { snapshotVisibleAfterMs: options.snapshotVisibleAfter }),
        ...(options.snapshotCompletesAfter === undefined
          ? {}
          : { snapshotCompletesAfterMs: options.snapshotCompletesAfter }),
        ...(options.iamEffectiveAfter === undefined ? {} : { iamEffectiveAfterMs: options.iamEffectiveAfter }),
        ...(options.limits === undefined ? {} : { accounts: limitsOf(options.limits) }),
      };
      const access = createSandboxAccess(session, { dir, adminTokenFile });
      const method = Object.keys(change).length > 0 ? 'PUT' : 'GET';
      const answer = await access.call(method, 'settings', method === 'PUT' ? change : undefined);
      session.show(answer, () =>
        facts(Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, JSON.stringify(value)]))),
      );
    });
}

function limitsOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usageError('--limits must be JSON');
  }
}

/** `domicile sandbox …`: the AWS to develop against, from the command line. */
export function addSandbox(program: CommandUnknownOpts, session: Session): void {
  const sandbox = program
    .command('sandbox')
    .description('An AWS on this machine to develop against (docs/sandbox.md).');
  addStart(sandbox, session);
  sandbox
    .command('account')
    .description('An account and its root key; the same one again for the same number.')
    .argument('[id]', 'number of the account, 12 digits (default: a new one)')
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async (id, options) => {
      const body = id === undefined ? {} : { awsAccountId: id };
      const answer = await createSandboxAccess(session, options).call('POST', 'accounts', body);
      session.show(answer, () =>
        facts({
          account: String(answer['awsAccountId']),
          AWS_ACCESS_KEY_ID: String(answer['accessKeyId']),
          AWS_SECRET_ACCESS_KEY: String(answer['secretAccessKey']),
        }),
      );
    });
  addFaults(sandbox, session);
  addSettings(sandbox, session);
  sandbox
    .command('clock')
    .description("Move the sandbox's time from the machine's: +7d, -30s; 0 sets it back.")
    .argument('<offset>', 'how far from now', offset)
    .addOption(dirOption())
    .addOption(tokenOption())
    .action(async (offsetMs, options) => {
      const answer = await createSandboxAccess(session, options).call('POST', 'clock', { offsetMs });
      session.show(answer, () => facts({ now: String(answer['now']) }));
    });
  addCalls(sandbox, session);
}
