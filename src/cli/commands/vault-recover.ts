import { resolve } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { RecoveredPoints, RecoveredRoot } from '../../contract/recovered-points.ts';
import { isFault } from '../../core/faults.ts';
import { listPoints, listVolumes, type PointName } from '../../vault/discover.ts';
import { readManifest } from '../../vault/manifest.ts';
import { mapInOrder } from '../../vault/pipeline.ts';
import { EXIT } from '../exit-codes.ts';
import { Failure, usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { formatBytes, formatTime, table } from '../table.ts';
import { replaceFile } from '../vault/files.ts';
import { type OpenVault, type VaultOptions, withVault } from '../vault/open.ts';
import { addVaultOptions } from './vault-options.ts';

/** Roots that are opened at the same time. */
const ROOTS_AT_ONCE = 16;

type Read =
  | { name: PointName; root: RecoveredRoot; cell: string; tenantId: string }
  | { name: PointName; problem: string };

async function readRoot(vault: OpenVault, name: PointName): Promise<Read> {
  try {
    const { cell, tenantId, ...input } = await vault.point(name);
    const manifest = await readManifest(vault, { cell, tenantId, ...input });
    const { snapshotId, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored } = manifest;
    const { createdTime, lockUntil, about = null } = manifest;
    const result = { snapshotId, kind, reason, volumeBytes, blocksRead, blocksStored, bytesStored };
    const { volumeId } = name;
    return {
      name,
      cell,
      tenantId,
      root: { volumeId, manifestKey: input.manifestKey, ...result, createdTime, lockUntil, about },
    };
  } catch (error) {
    if (!isFault(error) || error.code === 'store_unavailable' || error.code === 'key_unavailable') throw error;
    return { name, problem: error.code };
  }
}

async function* namesOf(vault: OpenVault): AsyncGenerator<PointName> {
  for await (const volumeId of listVolumes(vault.store))
    for (const runId of await listPoints(vault.store, volumeId)) yield { volumeId, runId };
}

/** Every point of the vault, by the runs that made them. */
async function readAll(session: Session, options: VaultOptions): Promise<RecoveredPoints> {
  return withVault(session, options, async (vault) => {
    const runs = new Map<string, RecoveredRoot[]>();
    const unreadable: RecoveredPoints['unreadable'] = [];
    let whose: { cell: string; tenantId: string } | null = null;
    for await (const read of mapInOrder(namesOf(vault), ROOTS_AT_ONCE, (name) => readRoot(vault, name))) {
      session.signal.throwIfAborted();
      if ('problem' in read) unreadable.push({ ...read.name, problem: read.problem });
      else {
        const { name, cell, tenantId, root } = read;
        whose ??= { cell, tenantId };
        if (whose.tenantId !== tenantId)
          throw usageError('The vault has points of several tenants', 'Name one: --tenant.');
        runs.set(name.runId, [...(runs.get(name.runId) ?? []), root]);
      }
    }
    if (!whose) throw new Failure(EXIT.notFound, 'No point can be read here', { detail: unreadable[0]?.problem });
    const points = [...runs].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([runId, roots]) => ({ runId, roots }));
    return { format: 'domicile-points/v1', ...whose, points, unreadable };
  });
}

/** A member of what a root was given to say, if it is a text. */
function told({ roots }: RecoveredPoints['points'][number], name: string): string | null {
  const [first] = roots;
  const about: unknown = first?.about;
  const value =
    typeof about === 'object' && about !== null ? Object.entries(about).find(([key]) => key === name)?.[1] : null;
  return typeof value === 'string' ? value : null;
}

function linesOf({ points, unreadable }: RecoveredPoints): string[] {
  const rows = table(
    [
      { title: 'RUN', text: (point) => point.runId },
      { title: 'RECOVERY POINT', text: (point) => told(point, 'recoveryPointId') },
      { title: 'INSTANCE', text: (point) => told(point, 'instanceId') },
      { title: 'POINT IN TIME', text: (point) => formatTime(told(point, 'pointInTime')) },
      { title: 'VOLUMES', text: ({ roots }) => roots.map(({ volumeId }) => volumeId).join(' ') },
      { title: 'SIZE', text: ({ roots }) => formatBytes(roots.reduce((sum, root) => sum + root.volumeBytes, 0)) },
    ],
    points,
  );
  return [...rows, ...unreadable.map(({ volumeId, runId, problem }) => `${runId} of ${volumeId}: ${problem}`)];
}

async function recover(session: Session, options: VaultOptions & { out?: string }): Promise<void> {
  const found = await readAll(session, options);
  if (options.out !== undefined)
    await replaceFile(resolve(session.folder, options.out), `${JSON.stringify(found, null, 2)}\n`);
  session.show(found, () => linesOf(found));
  if (found.unreadable.length > 0) {
    session.setExitCode(EXIT.jobFailed);
    session.hint(`${found.unreadable.length} roots cannot be read: their points are not among these.`);
  }
  if (options.out === undefined) return;
  session.hint(`An operator makes rows of it: OWNER_DATABASE_URL=… node src/cell/recover.ts ${options.out}`);
}

export function addVaultRecover(vault: CommandUnknownOpts, session: Session): void {
  addVaultOptions(vault.command('recover'))
    .description(
      'Find every recovery point by the roots alone, for when the database is lost. Writes nothing but --out.',
    )
    .option('--out <file>', 'write them there as JSON, for src/cell/recover.ts')
    .action((options) => recover(session, options as VaultOptions & { out?: string }));
}
