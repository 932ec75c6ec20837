import { resolve } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { blocksOf, readManifest } from '../../vault/manifest.ts';
import { restoreVolume } from '../../vault/restore.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { facts, formatBytes } from '../table.ts';
import { openImage } from '../vault/image-file.ts';
import { createMeter } from '../vault/meter.ts';
import { type OpenVault, type VaultOptions, withVault } from '../vault/open.ts';
import { showPlan } from '../vault/show-plan.ts';
import { openThreads, threadsFor } from '../vault/threads/pool.ts';
import { addPointOptions, addVaultOptions, type PointOptions, threadsOption } from './vault-options.ts';

type RestoreOptions = VaultOptions & PointOptions & { to?: string; force?: true; dryRun?: true; threads?: number };

/** Writes a point to a file, or goes on with what an earlier try has left of it. */
async function restoreTo(session: Session, vault: OpenVault, options: RestoreOptions & { to: string }) {
  const { volume: volumeId, point: runId, to, force = false } = options;
  const input = await vault.point({ volumeId, runId });
  const manifest = await readManifest(vault, input);
  const { attempt, volumeBytes, blockBytes } = manifest;
  const source = { volumeId, runId, attempt, volumeBytes, blockBytes };
  const path = resolve(session.folder, to);
  const image = await openImage(path, source, { force });
  if (image.from > 0) session.hint(`Going on at block ${image.from}: what an earlier try has written is kept.`);
  const meter = createMeter({ ...session, json: session.json(), doing: 'restored' });
  const count = threadsFor(options.threads, blocksOf(manifest) * blockBytes);
  const threads = count > 1 ? openThreads(count, vault) : null;
  const lanes = threads ? { openRestoreLanes: threads.restore({ path, source }) } : {};
  try {
    const result = await restoreVolume({ ...vault, ...lanes }, { ...input, from: image.from }, image.sink, {
      signal: session.signal,
      onWritten: (next) => image.written(next),
      onProgress: ({ blocksDone, blocksTotal }) =>
        meter.show({ done: blocksDone * blockBytes, total: (blocksTotal ?? 0) * blockBytes }),
    });
    return { volumeId, runId, to, blockBytes, ...result };
  } finally {
    meter.end();
    await threads?.stop();
    await image.close();
    if (session.signal.aborted) session.hint('Run it again to go on where it ended.');
  }
}

async function restore(session: Session, options: RestoreOptions): Promise<void> {
  const { to, volume: volumeId, point: runId, dryRun } = options;
  if (dryRun)
    return withVault(session, options, async (vault) =>
      showPlan(session, vault, await vault.point({ volumeId, runId })),
    );
  if (to === undefined) throw usageError('Where to?', 'Name a file with --to.');
  const done = await withVault(session, options, (vault) => restoreTo(session, vault, { ...options, to }));
  session.show(done, () =>
    facts({
      restored: to,
      size: formatBytes(done.volumeBytes),
      written: `${done.blocksWritten} blocks of ${formatBytes(done.blockBytes)}, each checked`,
      'written before': done.blocksSkipped > 0 ? `${done.blocksSkipped} blocks` : null,
    }),
  );
}

export function addVaultRestore(vault: CommandUnknownOpts, session: Session): void {
  addPointOptions(addVaultOptions(vault.command('restore')))
    .description(
      'Restore a point to a sparse file. It is written as <file>.partial; run again after an interruption, it goes on.',
    )
    .option('--to <file>', 'the file, such as disk.img; one that exists is not overwritten')
    .addOption(threadsOption())
    .option('--force', 'replace the file, and begin anew')
    .option('--dry-run', 'only print, as JSON, what would be read: packs, ranges, keys, bytes')
    .action((options) => restore(session, options as RestoreOptions));
}
