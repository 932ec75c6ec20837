import { describe, expect, test } from 'vitest';
import type { MemoryImage } from '../../src/vault/memory.ts';
import { executePrune, planPrune } from '../../src/vault/prune.ts';
import { block, contentOf, createVault, SCOPE } from './fixture.ts';

const filled = (count: number, seed = 0) =>
  new Map(Array.from({ length: count }, (_, n) => [n, block(seed + n)] as const));

describe('equal blocks', () => {
  test('of one run are stored once', async () => {
    const vault = createVault();
    const image = new Map(Array.from({ length: 300 }, (_, n) => [n, block(n % 3)] as const));
    const { blocksStored, manifestKey } = await vault.backup(image, { runId: 'run-1', blocks: 300 });
    expect(blocksStored).toBe(3);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(image));
  });

  test('of an earlier run of the volume are not stored again, with or without a base', async () => {
    const vault = createVault();
    const image = filled(1_100);
    const first = await vault.backup(image, { runId: 'run-1', snapshotId: 'snap-1', blocks: 4_096 });
    const again = await vault.backup(image, { runId: 'run-2', blocks: 4_096 });
    expect(again).toMatchObject({ kind: 'full', blocksStored: 0 });
    const moved = new Map([...image].map(([index, bytes]) => [index + 2_000, bytes]));
    const base = { manifestKey: first.manifestKey, snapshotId: 'snap-1' };
    const lineage = new Map<string, MemoryImage>([['snap-1', image]]);
    const third = await vault.backup(moved, { runId: 'run-3', base, lineage, blocks: 4_096 });
    expect(third).toMatchObject({ kind: 'incremental', blocksStored: 0 });
    expect(contentOf((await vault.restore(again.manifestKey)).image)).toEqual(contentOf(image));
    expect(contentOf((await vault.restore(third.manifestKey)).image)).toEqual(contentOf(moved));
  });

  test('whose packs were deleted meanwhile are stored again', async () => {
    const vault = createVault();
    const image = filled(1_100);
    await vault.backup(image, { runId: 'run-1', blocks: 4_096 });
    const other = await vault.backup(filled(10, 9_000), { runId: 'run-2', blocks: 4_096 });
    const input = { ...SCOPE, manifestKeysToKeep: [other.manifestKey], openRunIds: [] };
    await executePrune(await planPrune(vault.deps, input), vault.store);
    const again = await vault.backup(image, { runId: 'run-3', blocks: 4_096 });
    expect(again.blocksStored).toBe(1_100);
    expect(contentOf((await vault.restore(again.manifestKey)).image)).toEqual(contentOf(image));
  });

  test('of another volume have other ids: nothing is shared between volumes', async () => {
    const vault = createVault();
    const image = filled(20);
    await vault.backup(image, { runId: 'run-1' });
    const other = await vault.backup(image, { runId: 'run-2', volumeId: 'vol-2' });
    expect(other.blocksStored).toBe(20);
  });
});
