import { resolve } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { listVolumes } from '../../vault/discover.ts';
import { recoveryRecipient } from '../../vault/keys-file.ts';
import { RECIPIENT } from '../../vault/ports.ts';
import { planRewrap, type Rewrap, type RewrapPlan } from '../../vault/rotate.ts';
import { executeRewrap, type RewrapResult } from '../../vault/rotate-execute.ts';
import { EXIT } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import { readRecoveryKeyFile } from '../recovery-key-file.ts';
import type { Session } from '../session.ts';
import { table } from '../table.ts';
import { asKeyAdmin, type KeyAdmin, type KeyAdminOptions } from '../vault/key-admin.ts';
import { addKeyAdminOptions, objectId } from './vault-options.ts';

type RekeyOptions = KeyAdminOptions & {
  volume?: string;
  from: string;
  to?: string;
  addKey?: string;
  addRecipient?: string;
};

/** A volume's plan, and how carrying it out ended; null in a dry run. */
type Row = RewrapPlan & { result: RewrapResult | null };

function rewrapOf(session: Session, { kmsKey }: KeyAdmin, options: RekeyOptions): Rewrap {
  const { from, to, addKey, addRecipient } = options;
  if (to === undefined && addKey === undefined && addRecipient === undefined)
    throw usageError('For whom?', 'Name a key with --to or --add-key, or a public key with --add-recipient.');
  if (to === from) throw usageError('--from and --to are one key');
  const added = addKey === undefined ? [] : [kmsKey(addKey).recipient(RECIPIENT.recoveryRegion)];
  const tenants =
    addRecipient === undefined
      ? []
      : [recoveryRecipient(readRecoveryKeyFile(resolve(session.folder, addRecipient)).publicKey)];
  const next = to === undefined ? null : kmsKey(to);
  return {
    from: kmsKey(from).opener,
    ...(next ? { to: { recipient: next.recipient(RECIPIENT.cell), opener: next.opener } } : {}),
    add: [...added, ...tenants],
  };
}

async function volumesOf({ vault }: KeyAdmin, { volume }: RekeyOptions): Promise<string[]> {
  if (volume !== undefined) return [volume];
  const volumes: string[] = [];
  for await (const volumeId of listVolumes(vault.store)) volumes.push(volumeId);
  return volumes;
}

async function rekey(session: Session, options: RekeyOptions): Promise<void> {
  const { signal } = session;
  const rows = await asKeyAdmin(session, options, async (admin) => {
    const rewrap = rewrapOf(session, admin, options);
    const done: Row[] = [];
    for (const volumeId of await volumesOf(admin, options)) {
      const plan = await planRewrap(admin.objects, { ...admin.scope, volumeId }, rewrap);
      const result = options.dryRun ? null : await executeRewrap(admin.objects, plan, rewrap, { signal });
      done.push({ ...plan, result });
    }
    return done;
  });
  if (options.dryRun) session.terminal.out(JSON.stringify({ items: rows }, null, 2));
  else
    session.show({ items: rows }, () =>
      table(
        [
          { title: 'VOLUME', text: (row) => row.volumeId },
          { title: 'WRAPPED', text: (row) => row.result?.replaced ?? null },
          { title: 'BEFORE', text: (row) => row.done + (row.result?.done ?? 0) },
          { title: 'LEFT', text: (row) => row.left.length },
        ],
        rows,
      ),
    );
  const left = rows.flatMap((row) => row.left);
  for (const { key, reason } of left.slice(0, 10)) session.hint(`${key}: ${reason}`);
  if (left.length === 0) return;
  session.hint(`${left.length} key objects are as they were: neither key opens them, or they are damaged.`);
  session.setExitCode(EXIT.jobFailed);
}

export function addVaultRekey(vault: CommandUnknownOpts, session: Session): void {
  addKeyAdminOptions(vault.command('rekey'))
    .description(
      'Wrap the data keys of a tenant for another key of KMS, or for one more. No pack is read or written. It can be stopped and repeated. Exit code 1 when a key object is left as it was.',
    )
    .requiredOption('--from <arn>', 'the key of KMS that opens them now')
    .option('--to <arn>', 'the key of KMS that takes its place')
    .option('--add-key <arn>', 'wrap them for this key of KMS too: the recovery region’s')
    .option('--add-recipient <file>', 'wrap them for this public key too: the tenant’s recovery key, PEM')
    .option('--volume <id>', 'only this volume', objectId)
    .action((options) => rekey(session, options as RekeyOptions));
}
