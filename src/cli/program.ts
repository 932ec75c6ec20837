import { Command } from '@commander-js/extra-typings';
import { addAccount } from './commands/account.ts';
import { addBackup } from './commands/backup.ts';
import { addConnections } from './commands/connections.ts';
import { addInstances } from './commands/instances.ts';
import { addJobs } from './commands/jobs.ts';
import { addLogin } from './commands/login.ts';
import { addOperator } from './commands/operator.ts';
import { addPlans } from './commands/plans.ts';
import { addRecoveryKey } from './commands/recovery-key.ts';
import { addRecoveryPoints } from './commands/recovery-points.ts';
import { addRestore } from './commands/restore.ts';
import { addSandbox } from './commands/sandbox.ts';
import { addVault } from './commands/vault.ts';
import type { Context } from './context.ts';
import { createSession } from './session.ts';

const HELP_COLUMNS = 100;

/** The commands. Parsing runs one; its failure is thrown, never printed here. */
export function createProgram(context: Context) {
  const program = new Command('domicile')
    .description('Backups that stay home: back up and restore EC2 instances from the command line.')
    .option('--profile <name>', 'use this login (see: domicile profiles)')
    .option('--url <url>', 'address of the service (or DOMICILE_URL)')
    .option('--ca-file <file>', 'certificate authority of the service, PEM (or DOMICILE_CA_FILE)')
    .option('--json', 'print one JSON document instead of text')
    .configureHelp({ showGlobalOptions: true, helpWidth: HELP_COLUMNS })
    .configureOutput({
      writeOut: (text) => context.terminal.out(text.trimEnd()),
      writeErr: (text) => context.terminal.hint(text.trimEnd()),
    })
    .showHelpAfterError('Help: add --help')
    .exitOverride();
  const session = createSession(context, () => program.opts());
  addLogin(program, session);
  addConnections(program, session);
  addInstances(program, session);
  addAccount(program, session);
  addRecoveryKey(program, session);
  addPlans(program, session);
  addBackup(program, session);
  addJobs(program, session);
  addRecoveryPoints(program, session);
  addRestore(program, session);
  addVault(program, session);
  addOperator(program, session);
  addSandbox(program, session);
  return { program, session };
}
