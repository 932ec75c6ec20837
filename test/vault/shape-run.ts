import { equalBytes } from '../../src/crypto/bytes.ts';
import { type BackupDeps, backupVolume } from '../../src/vault/backup.ts';
import { createMemorySink, createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import type { BlockSink, BlockSource } from '../../src/vault/ports.ts';
import { type RestoreDeps, restoreVolume } from '../../src/vault/restore.ts';
import { createVault, SCOPE, type Vault } from './fixture.ts';
import { pruneAtOnce } from './prune-at-once.ts';
import type { Image, Shape } from './shapes.ts';

/** Where blocks are copied: in this thread, or in lanes that a test opens. */
export type Through = {
  backup(vault: Vault, source: BlockSource): Partial<BackupDeps>;
  restore(vault: Vault, sink: BlockSink): Partial<RestoreDeps>;
};
const PACK_BLOCKS = 32;
const HERE: Through = { backup: () => ({}), restore: () => ({}) };

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** Blocks in which two images differ for who reads the volume: one that is absent reads as zeros. */
export function differences(one: MemoryImage, other: MemoryImage): number[] {
  const equal = (index: number) => {
    const [a, b] = [one.get(index), other.get(index)];
    return a && b ? equalBytes(a, b) : isZero(a ?? b ?? new Uint8Array());
  };
  return [...new Set([...one.keys(), ...other.keys()])].filter((index) => !equal(index));
}

type Made = { manifestKey: string; snapshotId: string; image: Image };
const baseOf = (made: readonly Made[], { base }: Image) =>
  base === 'none' ? null : ((base === 'first' ? made[0] : made.at(-1)) ?? null);

/** Backs up the images of a volume, one after another, and forgets points as the shape says. */
async function makePoints(vault: Vault, shape: Shape, through: Through) {
  const { blockBytes, images, keeps, packBytes = PACK_BLOCKS * blockBytes } = shape;
  const points: Made[] = [];
  const told: object[] = [];
  for (const [n, image] of images.entries()) {
    const base = baseOf(points, image);
    if (image.lost === 'manifest') vault.store.objects.delete(base?.manifestKey ?? '');
    const lineage = new Map(image.lost === 'snapshot' ? [] : points.map((one) => [one.snapshotId, one.image.content]));
    const volumeBytes = image.blocks * blockBytes;
    const source = createMemorySource({ image: image.content, blockBytes, volumeBytes, lineage });
    const snapshotId = `snap-${n}`;
    const input = { ...SCOPE, runId: `run-${String(n).padStart(3, '0')}`, snapshotId, source, base };
    const result = await backupVolume(
      { ...vault.deps, tuning: { packBytes }, ...through.backup(vault, source) },
      input,
    );
    const { kind, reason } = result;
    told.push({ kind, reason, volumeBytes: result.volumeBytes });
    points.push({ manifestKey: result.manifestKey, snapshotId, image });
  }
  const left = points.filter(({ manifestKey }) => vault.store.objects.has(manifestKey));
  const kept = keeps ? left.filter((_, n) => keeps(n)) : left;
  if (keeps) {
    const keep = kept.map(({ manifestKey }) => manifestKey);
    await pruneAtOnce(vault.deps, keep);
  }
  return { points: kept, told };
}

/**
 * Makes every point of a shape, and then restores every one that is kept. `wrong` are the blocks that differ from the image,
 * `written` how many the restore wrote.
 */
export async function restoreShape(shape: Shape, through: Through = HERE) {
  const vault = createVault();
  const { points, told } = await makePoints(vault, shape, through);
  const restored: object[] = [];
  for (const { manifestKey, image } of points) {
    const sink = createMemorySink({ blockBytes: shape.blockBytes, volumeBytes: image.blocks * shape.blockBytes });
    const deps = { store: vault.store, keys: vault.keys, ...through.restore(vault, sink) };
    const { blocksWritten: written } = await restoreVolume(deps, { ...SCOPE, manifestKey }, sink);
    restored.push({ wrong: differences(image.content, sink.image), written, isComplete: sink.isComplete() });
  }
  return { told, restored };
}

/** What `restoreShape` must give. */
export function expectedOf({ blockBytes, images, keeps }: Shape) {
  const told = images.map(({ kind, reason, blocks }) => ({ kind, reason, volumeBytes: blocks * blockBytes }));
  const left = images.filter((_, n) => images[n + 1]?.lost !== 'manifest');
  const kept = keeps ? left.filter((_, n) => keeps(n)) : left;
  const written = ({ content }: Image) => [...content.values()].filter((bytes) => !isZero(bytes)).length;
  return { told, restored: kept.map((image) => ({ wrong: [], written: written(image), isComplete: true })) };
}
