import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { isFault } from '../../core/faults.ts';
import { listPoints, listVolumes, type PointName } from '../../vault/discover.ts';
import { blocksOf, type Manifest, readManifest } from '../../vault/manifest.ts';
import { mapInOrder } from '../../vault/pipeline.ts';
import { EXIT } from '../exit-codes.ts';
import type { Session } from '../session.ts';
import { formatBytes, formatTime } from '../table.ts';
import { type OpenVault, type VaultOptions, withVault } from '../vault/open.ts';
import { showList } from './list-output.ts';
import { addVaultOptions, objectId } from './vault-options.ts';

/** Roots that are opened at the same time. */
const ROOTS_AT_ONCE = 16;

type Row = PointName & Partial<Manifest> & { storedBlocks: number | null; problem: string | null };

async function* pointsOf(vault: OpenVault, volumeId: string | undefined): AsyncGenerator<PointName> {
  const volumes = volumeId === undefined ? listVolumes(vault.store) : [volumeId];
  for await (const volume of volumes)
    for (const runId of await listPoints(vault.store, volume)) yield { volumeId: volume, runId };
}

/** One point, or the class of what is wrong with it: one that cannot be read does not hide the others. */
async function rowOf(vault: OpenVault, name: PointName): Promise<Row> {
  try {
    const manifest = await readManifest(vault, await vault.point(name));
    const { kind, reason, snapshotId, createdTime, lockUntil, volumeBytes, bytesStored } = manifest;
    const shown = { kind, reason, snapshotId, createdTime, lockUntil, volumeBytes, bytesStored };
    return { ...name, ...shown, storedBlocks: blocksOf(manifest), problem: null };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { ...name, storedBlocks: null, problem: error.code };
  }
}

async function list(session: Session, options: VaultOptions & { volume?: string }): Promise<void> {
  const items = await withVault(session, options, async (vault) => {
    const rows: Row[] = [];
    const read = (name: PointName) => rowOf(vault, name);
    for await (const row of mapInOrder(pointsOf(vault, options.volume), ROOTS_AT_ONCE, read)) rows.push(row);
    return rows;
  });
  showList(session, 'points', { items, more: false }, [
    { title: 'VOLUME', text: (row) => row.volumeId },
    { title: 'POINT', text: (row) => row.runId },
    { title: 'TIME', text: (row) => formatTime(row.createdTime ?? null) },
    { title: 'KIND', text: (row) => row.kind ?? null },
    { title: 'SIZE', text: (row) => (row.volumeBytes === undefined ? null : formatBytes(row.volumeBytes)) },
    { title: 'BLOCKS', text: (row) => row.storedBlocks },
    { title: 'ADDED', text: (row) => (row.bytesStored === undefined ? null : formatBytes(row.bytesStored)) },
    { title: 'LOCKED UNTIL', text: (row) => formatTime(row.lockUntil ?? null) },
    { title: 'PROBLEM', text: (row) => row.problem },
  ]);
  const unreadable = items.filter(({ problem }) => problem !== null).length;
  if (unreadable === 0) return;
  session.hint(`${unreadable} of ${items.length} points cannot be read: docs/problems has what each class means.`);
  session.setExitCode(EXIT.jobFailed);
}

export function addVaultLs(vault: CommandUnknownOpts, session: Session): void {
  addVaultOptions(vault.command('ls'))
    .description('List volumes and points. Exit code 1 when one cannot be read.')
    .option('--volume <id>', 'only this volume', objectId)
    .action((options) => list(session, options as VaultOptions & { volume?: string }));
}
