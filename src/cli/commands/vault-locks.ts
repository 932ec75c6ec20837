import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { listPoints } from '../../vault/discover.ts';
import { type LockedPoint, planLocks } from '../../vault/locks/extend.ts';
import { objectsOfVolume, renewalsPerDay } from '../../vault/locks/generations.ts';
import type { LockExtension } from '../../vault/locks/plan.ts';
import { readManifest } from '../../vault/manifest.ts';
import type { Session } from '../session.ts';
import { facts, formatTime, table } from '../table.ts';
import { type OpenVault, type VaultOptions, withVault } from '../vault/open.ts';
import { addVaultOptions, objectId } from './vault-options.ts';

const DAY_MS = 86_400_000;
/** The largest volume that EBS has. */
const LARGEST_BYTES = 64 * 2 ** 40;

type LocksOptions = VaultOptions & { volume: string };
type Named = LockedPoint & { runId: string; lockDays: number; scope: Awaited<ReturnType<OpenVault['point']>> };

/** Points of the volume whose roots say that they are locked now. */
async function lockedPoints(vault: OpenVault, volumeId: string, now: Date): Promise<Named[]> {
  const points: Named[] = [];
  for (const runId of await listPoints(vault.store, volumeId)) {
    const scope = await vault.point({ volumeId, runId });
    const { lockUntil: end, createdTime } = await readManifest(vault, scope);
    const lockUntil = new Date(end ?? 0);
    if (lockUntil <= now) continue;
    const lockDays = Math.ceil((lockUntil.getTime() - new Date(createdTime).getTime()) / DAY_MS);
    points.push({ runId, manifestKey: scope.manifestKey, lockUntil, lockDays, scope });
  }
  return points;
}

/** What a look at the volume's locks would do now. Of a folder it is known what is needed, and not what is locked. */
async function planOf(session: Session, vault: OpenVault, volumeId: string) {
  const { clock, signal } = session;
  const named = await lockedPoints(vault, volumeId, clock.now());
  const rows = new Map(named.map((point) => [point.manifestKey, { ...point, objects: 0, due: 0, missing: 0 }]));
  const extensions: LockExtension[] = [];
  const [first] = named;
  if (first) {
    const locks = vault.locks ?? { lockedUntil: async () => null };
    const parts = planLocks({ vault, locks, clock }, { ...first.scope, points: named }, { signal });
    for await (const part of parts) {
      const row = rows.get(part.manifestKey);
      if (!row) continue;
      row.objects += part.looked;
      row.due += part.extensions.length;
      row.missing += part.missing.length;
      extensions.push(...part.extensions);
    }
  }
  const known = vault.locks !== null;
  const lockDays = Math.max(0, ...named.map((point) => point.lockDays));
  const objects = [...rows.values()].reduce((sum, row) => sum + row.objects, 0);
  const largest = objectsOfVolume(LARGEST_BYTES);
  return {
    volumeId,
    points: [...rows.values()].map(({ runId, lockUntil, objects: its, due, missing }) => ({
      runId,
      lockUntil: lockUntil.toISOString(),
      objects: its,
      due: known ? due : null,
      missing: known ? missing : null,
    })),
    objects,
    perDay: renewalsPerDay(objects, lockDays),
    perDayOf64TiB: renewalsPerDay(largest, lockDays),
    extensions: known ? extensions.map(({ key, until }) => ({ key, until: until.toISOString() })) : null,
  };
}

const perDay = ({ looks, extensions }: { looks: number; extensions: number }) =>
  `${looks} looks and ${extensions} extensions`;

async function show(session: Session, options: LocksOptions): Promise<void> {
  const plan = await withVault(session, options, (vault) => planOf(session, vault, options.volume));
  session.show(plan, () => [
    ...table(
      [
        { title: 'POINT', text: (row) => row.runId },
        { title: 'LOCKED UNTIL', text: (row) => formatTime(row.lockUntil) },
        { title: 'OBJECTS', text: (row) => row.objects },
        { title: 'DUE', text: (row) => row.due },
        { title: 'MISSING', text: (row) => row.missing },
      ],
      plan.points,
    ),
    '',
    ...facts({ 'calls a day': perDay(plan.perDay), 'of a full 64 TiB': perDay(plan.perDayOf64TiB) }),
  ]);
}

export function addVaultLocks(vault: CommandUnknownOpts, session: Session): void {
  addVaultOptions(vault.command('locks'))
    .description('Locks of a volume: what is due to be extended, and how many calls a day that takes. Changes nothing.')
    .requiredOption('--volume <id>', 'the volume', objectId)
    .action((options) => show(session, options as LocksOptions));
}
