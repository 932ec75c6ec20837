import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Session } from '../session.ts';
import { addVaultExport } from './vault-export.ts';
import { addVaultLocks } from './vault-locks.ts';
import { addVaultLs } from './vault-ls.ts';
import { addVaultPrune } from './vault-prune.ts';
import { addVaultRecover } from './vault-recover.ts';
import { addVaultRekey } from './vault-rekey.ts';
import { addVaultRestore } from './vault-restore.ts';
import { addVaultShred } from './vault-shred.ts';
import { addVaultStat } from './vault-stat.ts';
import { addVaultVerify } from './vault-verify.ts';

/** `domicile vault …`: a tenant's vault by its objects and keys alone. */
export function addVault(program: CommandUnknownOpts, session: Session): void {
  const vault = program.command('vault').description('A vault by its objects and keys alone: no service, no database.');
  addVaultLs(vault, session);
  addVaultStat(vault, session);
  addVaultVerify(vault, session);
  addVaultLocks(vault, session);
  addVaultPrune(vault, session);
  addVaultRestore(vault, session);
  addVaultExport(vault, session);
  addVaultRecover(vault, session);
  addVaultRekey(vault, session);
  addVaultShred(vault, session);
}
