import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import {
  type Amount,
  type CopyPlan,
  type CopyStores,
  type CopyVolume,
  executeCopy,
  planCopy,
} from '../../vault/copy.ts';
import { chooseAll, choosePoints } from '../../vault/copy-choice.ts';
import { listPoints } from '../../vault/discover.ts';
import { EXIT } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { facts, formatBytes, table } from '../table.ts';
import { createMeter } from '../vault/meter.ts';
import { type OpenVault, type VaultOptions, withVault } from '../vault/open.ts';
import { type TargetOptions, withTarget } from '../vault/target.ts';
import { addVaultOptions, objectId } from './vault-options.ts';

type ExportOptions = VaultOptions &
  TargetOptions & { volume?: string; point?: string; dryRun?: true; despiteDamage?: true };

/** All of the vault, which takes no key; or one volume, or one point of it, which takes its keys. */
async function choose(session: Session, vault: OpenVault, options: ExportOptions): Promise<CopyVolume[]> {
  const { volume, point } = options;
  if (volume === undefined) return chooseAll(vault.store);
  const runs = point === undefined ? await listPoints(vault.store, volume) : [point];
  const [first] = runs;
  if (first === undefined) throw usageError(`There is no point of volume ${volume}`);
  const { cell, tenantId } = await vault.point({ volumeId: volume, runId: first });
  return choosePoints(vault, { cell, tenantId, volumeId: volume }, runs, { signal: session.signal });
}

const amount = ({ objects, bytes }: Amount) => `${objects} objects, ${formatBytes(bytes)}`;

function showPlan(session: Session, plan: CopyPlan): void {
  session.show(plan, () =>
    facts({ 'to copy': amount(plan.copy), 'there already': amount(plan.there), points: plan.points }),
  );
  if (plan.inTheWay.length === 0) return;
  session.hint(
    `${plan.inTheWay.length} objects are in the way, such as ${plan.inTheWay[0]}: they have another length.`,
  );
  session.setExitCode(EXIT.jobFailed);
}

async function copy(
  session: Session,
  parts: { stores: CopyStores; volumes: readonly CopyVolume[]; plan: CopyPlan },
  despiteDamage: boolean,
): Promise<void> {
  const { stores, volumes, plan } = parts;
  const meter = createMeter({ ...session, json: session.json(), doing: 'copied' });
  const total = plan.copy.bytes + plan.there.bytes;
  const onProgress = (done: number) => meter.show({ done, total });
  const report = await executeCopy(stores, volumes, { signal: session.signal, despiteDamage, onProgress }).finally(
    () => {
      meter.end();
      if (session.signal.aborted) session.hint('Run it again to go on where it ended.');
    },
  );
  const { copied, there, points, damage } = report;
  session.show(report, () => [
    ...facts({ copied: amount(copied), 'there already': amount(there), points: `${points} of ${plan.points}` }),
    ...(damage.length === 0
      ? []
      : [
          '',
          ...table(
            [
              { title: 'NOT COPIED', text: (one) => one.class },
              { title: 'OBJECT', text: (one) => one.object },
            ],
            damage,
          ),
        ]),
  ]);
  if (damage.length === 0) return;
  session.setExitCode(EXIT.jobFailed);
  if (!despiteDamage)
    session.hint('No point was copied: one might lack what is damaged. --despite-damage copies them all the same.');
}

async function exportVault(session: Session, options: ExportOptions): Promise<void> {
  if (options.point !== undefined && options.volume === undefined)
    throw usageError('Of which volume is the point?', 'Name it with --volume.');
  await withVault(session, options, (vault) =>
    withTarget(session, options, {
      expected: vault.expected,
      async work(to) {
        const stores = { from: vault.store, to };
        const volumes = await choose(session, vault, options);
        const plan = await planCopy(stores, volumes);
        if (options.dryRun) return showPlan(session, plan);
        return copy(session, { stores, volumes, plan }, options.despiteDamage === true);
      },
    }),
  );
}

export function addVaultExport(vault: CommandUnknownOpts, session: Session): void {
  addVaultOptions(vault.command('export'))
    .description(
      'Copy a vault to a bucket or folder of yours, each object checked. Run again, it goes on; only a part takes keys.',
    )
    .option('--to <folder>', 'the folder')
    .option('--to-bucket <name>', 'or the bucket')
    .option('--to-prefix <text>', 'where in the bucket (default: t/<tenant>/)')
    .option('--to-region <region>', 'its AWS region, in the jurisdiction (default: the home region of the cell)')
    .option('--to-bucket-owner <id>', 'its account (default: that of your credentials)')
    .option('--to-aws-profile <name>', 'write there with the credentials of this AWS profile')
    .option('--volume <id>', 'only this volume', objectId)
    .option('--point <id>', 'only this point', objectId)
    .option('--dry-run', 'only say how much there is to copy')
    .option('--despite-damage', 'copy the points although an object that they may need is damaged or gone')
    .action((options) => exportVault(session, options as ExportOptions));
}
