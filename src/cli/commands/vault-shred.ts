import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { Fault, isFault } from '../../core/faults.ts';
import { reachOfOthers } from '../../vault/reach.ts';
import { sharesBlocks } from '../../vault/shared-id-key.ts';
import { executeShred, type PointReach, planShred, type ShredPlan, volumesWithKeys } from '../../vault/shred.ts';
import { EXIT } from '../exit-codes.ts';
import { Failure, usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { facts } from '../table.ts';
import { asKeyAdmin, type KeyAdmin, type KeyAdminOptions } from '../vault/key-admin.ts';
import { addKeyAdminOptions, objectId } from './vault-options.ts';

type ShredOptions = KeyAdminOptions & { volume?: string; all?: true; yes?: true; evenShared?: true };

/** A plan; `alsoLost` is null where it cannot be known: other points may need what goes, and their roots are not readable here. */
type Plan = Omit<ShredPlan, 'alsoLost'> & { alsoLost: ShredPlan['alsoLost'] | null };

/** The points of volumes that stay, as far as they may need what goes. Null: these credentials cannot read them. */
async function reachesOf(
  { objects, vault, scope }: KeyAdmin,
  volumeIds: readonly string[],
): Promise<PointReach[] | null> {
  if (!(await sharesBlocks(objects))) return [];
  try {
    return await reachOfOthers(vault, scope, volumeIds);
  } catch (error) {
    if (isFault(error)) return null;
    throw error;
  }
}

async function planOf(admin: KeyAdmin, { volume, all }: ShredOptions): Promise<Plan> {
  const { objects, scope } = admin;
  const volumeIds = volume === undefined ? await volumesWithKeys(objects) : [volume];
  const reaches = all ? [] : await reachesOf(admin, volumeIds);
  const plan = await planShred(objects, { tenantId: scope.tenantId, volumeIds }, reaches ?? []);
  return reaches === null ? { ...plan, alsoLost: null } : plan;
}

function assertNobodyElseLoses({ alsoLost }: Plan, { evenShared }: ShredOptions): void {
  if (evenShared || alsoLost?.length === 0) return;
  const which = alsoLost?.slice(0, 10).map(({ volumeId, runId }) => `${volumeId} ${runId}`) ?? [];
  throw new Failure(EXIT.rejected, 'Points of other volumes may be lost with it', {
    detail: alsoLost
      ? `${alsoLost.length} points name blocks of what is to be erased, such as ${which.join(', ')}.`
      : 'Volumes of this tenant share blocks, and these credentials cannot read which points need what is to be erased.',
    next: 'See them with --dry-run, as somebody who may read roots too; then give --even-shared.',
  });
}

async function confirm(session: Session, { volume, tenant, yes }: ShredOptions): Promise<void> {
  if (yes) return;
  const what = volume ?? tenant;
  const typed = await session.askSecret(`Nobody brings it back. Type ${what} to destroy its keys (it is not shown): `);
  if (typed === null) throw usageError('Nobody is there to confirm it', 'Give --yes.');
  if (typed !== what) throw usageError('That is another name: nothing was destroyed');
}

async function execute(session: Session, admin: KeyAdmin, plan: Plan, options: ShredOptions): Promise<void> {
  const report = await executeShred(admin.objects, { ...plan, alsoLost: plan.alsoLost ?? [] }, session.clock);
  if (options.all && (await volumesWithKeys(admin.objects)).length > 0)
    throw new Fault(
      'conflict',
      'A key was stored while the tenant was being erased. Stop its backups and run it again.',
    );
  session.show(report, () =>
    facts({
      volumes: report.volumeIds.join(' '),
      'key objects destroyed': report.keyObjects,
      'versions destroyed': report.versions,
      'SHA-256 of their names': report.namesSha256,
      'none left at': report.provedTime,
    }),
  );
}

async function shred(session: Session, options: ShredOptions): Promise<void> {
  const { volume, all, dryRun } = options;
  if ((volume === undefined) === (all === undefined)) throw usageError('What?', 'Name a --volume, or give --all.');
  await asKeyAdmin(session, options, async (admin) => {
    const plan = await planOf(admin, options);
    if (dryRun) return session.terminal.out(JSON.stringify(plan, null, 2));
    assertNobodyElseLoses(plan, options);
    await confirm(session, options);
    await execute(session, admin, plan, options);
  });
}

export function addVaultShred(vault: CommandUnknownOpts, session: Session): void {
  addKeyAdminOptions(vault.command('shred'))
    .description(
      'Destroy the keys of a volume, or of a tenant, with all their versions, and prove that none is left. Its backups, locked ones too, open to nobody who has no copy of the keys from before. Stop its backups first. The answer is the ground of an erasure certificate.',
    )
    .option('--volume <id>', 'this volume', objectId)
    .option('--all', 'every volume of the tenant')
    .option('--even-shared', 'though points of other volumes that name its blocks are lost too')
    .option('--yes', 'do not ask for the name to be typed')
    .action((options) => shred(session, options as ShredOptions));
}
