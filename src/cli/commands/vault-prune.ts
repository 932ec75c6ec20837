import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { listPoints, listVolumes } from '../../vault/discover.ts';
import type { Garbage } from '../../vault/gc/condemned.ts';
import { type CollectionPlan, planCollection } from '../../vault/gc/plan.ts';
import type { VolumeState } from '../../vault/gc/state.ts';
import { rootKey, type VolumeScope } from '../../vault/layout.ts';
import type { BlobStore } from '../../vault/ports.ts';
import type { Session } from '../session.ts';
import { facts, formatBytes } from '../table.ts';
import { type OpenVault, type VaultOptions, withVault } from '../vault/open.ts';
import { addVaultOptions, objectId } from './vault-options.ts';

type PruneOptions = VaultOptions & { volume: string; without: string[]; dryRun: true };

/** All points of the vault, by volume. */
async function pointsOf(store: BlobStore): Promise<{ volumeId: string; runIds: string[] }[]> {
  const volumes: { volumeId: string; runIds: string[] }[] = [];
  for await (const volumeId of listVolumes(store))
    volumes.push({ volumeId, runIds: await listPoints(store, volumeId) });
  return volumes;
}

/** Whose vault it is, as any of its points says; without points nothing is opened. */
async function scopeOf(vault: OpenVault, volumeId: string): Promise<VolumeScope> {
  for (const { volumeId: other, runIds } of await pointsOf(vault.store)) {
    const [runId] = runIds;
    if (runId !== undefined) return { ...(await vault.point({ volumeId: other, runId })), volumeId };
  }
  return { cell: vault.expected.cell ?? '', tenantId: vault.expected.tenantId ?? '', volumeId };
}

/** What a bucket tells of the service's state: every point is kept, but those that the user would do without. */
async function stateOf(store: BlobStore, { volume, without }: PruneOptions): Promise<VolumeState> {
  const points = await pointsOf(store);
  const kept = points.map(({ volumeId, runIds }) => ({
    volumeId,
    manifestKeys: runIds.flatMap((id) => (volumeId === volume && without.includes(id) ? [] : [rootKey(volumeId, id)])),
  }));
  return {
    kept,
    deletedRoots: without.map((id) => rootKey(volume, id)),
    openRunIds: [],
    condemnations: [],
    doomed: [],
    longestJobMs: 0,
    packsAllowed: () => 0,
  };
}

const sizeOf = (objects: readonly Garbage[]) => formatBytes(objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
const tally = ({ objects, packs, bytes }: CollectionPlan['stored']) =>
  `${objects} objects, ${packs} of them packs, ${formatBytes(bytes)}`;

async function show(session: Session, options: PruneOptions): Promise<void> {
  const { clock, signal } = session;
  const plan = await withVault(session, options, async (vault) => {
    const scope = await scopeOf(vault, options.volume);
    return planCollection({ store: vault.store, keys: vault.keys, clock }, scope, () => stateOf(vault.store, options), {
      signal,
    });
  });
  const { volumeId, stored, needed, rootsToDelete, condemn } = plan;
  session.show({ volumeId, stored, needed, rootsToDelete, condemn }, () => [
    ...facts({
      volume: volumeId,
      stored: tally(stored),
      needed: tally(needed),
      'roots that go at once': rootsToDelete.length,
      'condemned, and deleted in days': `${condemn.length} objects, ${sizeOf(condemn)}`,
    }),
    ...condemn.map(({ key, sizeBytes }) => `${key}  ${formatBytes(sizeBytes)}`),
  ]);
}

export function addVaultPrune(vault: CommandUnknownOpts, session: Session): void {
  addVaultOptions(vault.command('prune'))
    .description(
      'What of a volume no point needs, as a plan. Deleting it is the service’s: only that knows which backups run.',
    )
    .requiredOption('--volume <id>', 'the volume', objectId)
    .option(
      '--without <id>',
      'as if this point were deleted (repeatable)',
      (id, all: string[]) => [...all, objectId(id)],
      [],
    )
    .requiredOption('--dry-run', 'print the plan; there is nothing else')
    .action((options) => show(session, options as PruneOptions));
}
