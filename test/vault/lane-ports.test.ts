import { expect, test } from 'vitest';
import { Fault } from '../../src/core/faults.ts';
import { type BackupDeps, backupVolume } from '../../src/vault/backup.ts';
import { createMemorySink, createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import type { BlockSource } from '../../src/vault/ports.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { BLOCK, block, contentOf, createVault, noise, SCOPE, type Vault } from './fixture.ts';
import { lanesOver, restoreLanesOver } from './lanes-over.ts';

const BLOCKS = 4_096;

const image = (seed = 0): MemoryImage =>
  new Map(Array.from({ length: 3_000 }, (_, n) => [n, n % 5 === 0 ? noise(n + seed) : block((n % 1_000) + seed)]));

function over(
  vault: Vault,
  content: MemoryImage,
  options: { runId: string; lineage?: ReadonlyMap<string, MemoryImage> },
) {
  const { runId, lineage } = options;
  const more = lineage ? { lineage } : {};
  const source = createMemorySource({ image: content, blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK, ...more });
  const lanes = lanesOver(vault, source, 3);
  const deps: BackupDeps = { ...vault.deps, openLanes: lanes.openLanes };
  return { deps, lanes, input: { ...SCOPE, runId, snapshotId: `snap-${runId}`, source, base: null } };
}

test('three lanes at the other end of a line store what one in this thread would', async () => {
  const vault = createVault();
  const { deps, input } = over(vault, image(), { runId: 'run-1' });
  const stored = await backupVolume(deps, input);
  expect(stored).toMatchObject({ blocksRead: 3_000 });
  expect(contentOf((await vault.restore(stored.manifestKey)).image)).toEqual(contentOf(image()));
});

test('lanes in other threads find what is stored already, in earlier runs and in their own', async () => {
  const vault = createVault();
  const first = over(vault, image(), { runId: 'run-1' });
  const one = await backupVolume(first.deps, first.input);
  const again = over(vault, image(), { runId: 'run-2' });
  expect(await backupVolume(again.deps, again.input)).toMatchObject({ kind: 'full', blocksStored: 0 });
  const changed = new Map([...image(), [17, block(77_777)], [2_999, noise(88_888)]]);
  const base = { manifestKey: one.manifestKey, snapshotId: 'snap-run-1' };
  const third = over(vault, changed, { runId: 'run-3', lineage: new Map([['snap-run-1', image()]]) });
  const point = await backupVolume(third.deps, { ...third.input, base });
  expect(point).toMatchObject({ kind: 'incremental', blocksRead: 2, blocksStored: 2 });
  expect(contentOf((await vault.restore(point.manifestKey)).image)).toEqual(contentOf(changed));
});

test('equal blocks of a run are stored once by each lane, at most', async () => {
  const vault = createVault();
  const recurring = new Map(Array.from({ length: 3_000 }, (_, n) => [n, block(n % 4)] as const));
  const { deps, input } = over(vault, recurring, { runId: 'run-1' });
  const { blocksStored, manifestKey } = await backupVolume(deps, input);
  expect(blocksStored).toBeLessThanOrEqual(4 * 3);
  expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(recurring));
});

test('a lane whose thread ends fails the run, which can be tried again', async () => {
  const vault = createVault();
  const { deps, input, lanes } = over(vault, image(), { runId: 'run-1' });
  const cut = { ...deps, openLanes: lanes.openLanes };
  const running = backupVolume(cut, input, { onProgress: () => lanes.ends[1]?.close() });
  await expect(running).rejects.toMatchObject({ code: 'unavailable', retry: 'now' });
  expect([...vault.store.objects.keys()].filter((key) => key.includes('/roots/'))).toEqual([]);
  const retried = over(vault, image(), { runId: 'run-1' });
  const { manifestKey } = await backupVolume(retried.deps, retried.input);
  expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(image()));
});

test('an abort reaches the lanes, with its reason', async () => {
  const vault = createVault();
  const { deps, input } = over(vault, image(), { runId: 'run-1' });
  const controller = new AbortController();
  const run = backupVolume(deps, input, {
    signal: controller.signal,
    onProgress: () => controller.abort(new Fault('stale_claim', 'Another worker has the job.')),
  });
  await expect(run).rejects.toMatchObject({ code: 'stale_claim' });
});

test('what the source throws in a lane is thrown by the run, with its code and facts', async () => {
  const vault = createVault();
  const { deps, input } = over(vault, image(), { runId: 'run-1' });
  const source: BlockSource = {
    ...input.source,
    fetch: async () => {
      throw new Fault('missing_permission', 'No.', { facts: { action: 'ebs:GetSnapshotBlock' } });
    },
  };
  const { openLanes } = lanesOver(vault, source, 2);
  await expect(backupVolume({ ...deps, openLanes }, input)).rejects.toMatchObject({
    code: 'missing_permission',
    facts: { action: 'ebs:GetSnapshotBlock' },
  });
});

test('restore lanes at the other end of a line write the same bytes, and open keys here', async () => {
  const vault = createVault();
  const { deps, input } = over(vault, image(), { runId: 'run-1' });
  const { manifestKey } = await backupVolume(deps, input);
  const sink = createMemorySink({ blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK });
  const { store, keys } = vault;
  const result = await restoreVolume(
    { store, keys, openRestoreLanes: restoreLanesOver(vault, sink, 2) },
    { ...SCOPE, manifestKey },
    sink,
  );
  expect(result).toMatchObject({ blocksWritten: 3_000 });
  expect(sink.isComplete()).toBe(true);
  expect(contentOf(sink.image)).toEqual(contentOf(image()));
});
