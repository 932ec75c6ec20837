import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/core/faults.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { checkpointEvery } from '../../src/vault/checkpoint.ts';
import { checkpointsPrefix, rootKey } from '../../src/vault/layout.ts';
import { createManifestReader } from '../../src/vault/manifest.ts';
import { createMemorySource, type MemoryImage } from '../../src/vault/memory.ts';
import { BLOCK, block, contentOf, createVault, SCOPE, type Vault } from './fixture.ts';
import { pruneAtOnce } from './prune-at-once.ts';

const BLOCKS = 1_400; // Two leaves: a checkpoint comes in the middle of one.
const EVERY = 200;
const BEFORE: MemoryImage = new Map(Array.from({ length: BLOCKS }, (_, n) => [n, block(n)]));
const AFTER: MemoryImage = new Map([...BEFORE].map(([n, bytes]) => [n, n % 2 === 0 ? block(n + 10_000) : bytes]));

/** A source that dies when `deaths` blocks have been fetched, and counts what was fetched. */
function createSource(
  image: MemoryImage,
  lineage: ReadonlyMap<string, MemoryImage>,
  deaths = Number.POSITIVE_INFINITY,
) {
  const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: BLOCKS * BLOCK, lineage });
  const fetched: number[] = [];
  return {
    ...source,
    fetched,
    async fetch(ref: { index: number; token: string }) {
      if (fetched.length >= deaths) throw new Fault('aws_throttled', 'The source is away.');
      fetched.push(ref.index);
      return source.fetch(ref);
    },
  };
}

type Run = { kind: 'full' | 'incremental'; image: MemoryImage; expected: number };

async function begin(kind: Run['kind']) {
  const vault = createVault();
  const lineage = new Map([['snap-1', BEFORE]]);
  if (kind === 'full') return { vault, lineage: new Map<string, MemoryImage>(), base: null };
  const { manifestKey } = await vault.backup(BEFORE, { runId: 'run-1', snapshotId: 'snap-1', blocks: BLOCKS });
  return { vault, lineage, base: { manifestKey, snapshotId: 'snap-1' } };
}

const checkpointsOf = (vault: Vault) =>
  [...vault.store.objects.keys()].filter((key) => key.startsWith(checkpointsPrefix(SCOPE.volumeId, 'run-2')));

describe.each<Run>([
  { kind: 'full', image: BEFORE, expected: BLOCKS },
  { kind: 'incremental', image: AFTER, expected: BLOCKS / 2 },
])('a $kind backup that is interrupted', ({ kind, image, expected }) => {
  test('goes on from its last checkpoint: what lies before it is not read again, and the point is whole', async () => {
    const { vault, lineage, base } = await begin(kind);
    const input = { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2', base };
    const deps = { ...vault.deps, tuning: { checkpointEvery: EVERY } };
    const first = createSource(image, lineage, 600);
    await expect(backupVolume(deps, { ...input, source: first })).rejects.toMatchObject({ code: 'aws_throttled' });
    const farthest = Number(checkpointsOf(vault).toSorted().at(-1)?.split('/').at(-1)?.split('-')[0]);
    expect(farthest).toBeGreaterThan(0);

    const second = createSource(image, lineage);
    const result = await backupVolume(deps, { ...input, source: second });
    expect(Math.min(...second.fetched)).toBeGreaterThanOrEqual(farthest);
    expect(second.fetched.length).toBeLessThan(expected - EVERY + 1);
    expect(result).toMatchObject({ kind, reason: null, blocksRead: expected });
    expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(image));
  });

  test('twice, wherever that is, ends with the same image', async () => {
    for (const deaths of [90, Math.floor(expected / 2), expected - 1]) {
      const { vault, lineage, base } = await begin(kind);
      const input = { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2', base };
      const deps = { ...vault.deps, tuning: { checkpointEvery: 77 } };
      for (const limit of [deaths, deaths / 2])
        await backupVolume(deps, { ...input, source: createSource(image, lineage, limit) }).catch(() => {});
      const result = await backupVolume(deps, { ...input, source: createSource(image, lineage) });
      expect(contentOf((await vault.restore(result.manifestKey)).image)).toEqual(contentOf(image));
    }
  });

  test('has an inventory of every pack that its manifest names', async () => {
    const { vault, lineage, base } = await begin(kind);
    const input = { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2', base };
    const deps = { ...vault.deps, tuning: { checkpointEvery: EVERY } };
    await backupVolume(deps, { ...input, source: createSource(image, lineage, 500) }).catch(() => {});
    const { manifestKey } = await backupVolume(deps, { ...input, source: createSource(image, lineage) });
    const reader = createManifestReader(vault, SCOPE);
    const { inventory, resumed } = await reader.root(manifestKey);
    expect(resumed).toHaveLength(1);
    expect(new Set([inventory, ...resumed].map(({ attempt }) => attempt)).size).toBe(2);
    const packs = [...vault.store.objects.keys()].filter((key) => key.includes('/packs/run-2/'));
    expect(inventory.packs + (resumed[0]?.packs ?? 0)).toBeLessThanOrEqual(packs.length);
    await pruneAtOnce(vault, [manifestKey, ...(base ? [base.manifestKey] : [])]);
    expect(checkpointsOf(vault)).toEqual([]);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(image));
  });
});

describe('a checkpoint is not gone on from', () => {
  async function interrupted() {
    const vault = createVault();
    const deps = { ...vault.deps, tuning: { checkpointEvery: EVERY } };
    const input = { ...SCOPE, runId: 'run-2', snapshotId: 'snap-2' };
    await backupVolume(deps, { ...input, source: createSource(BEFORE, new Map(), 600) }).catch(() => {});
    return { vault, deps, input };
  }

  test('when it was made of another image', async () => {
    const { vault, deps, input } = await interrupted();
    const source = createSource(AFTER, new Map());
    const { manifestKey } = await backupVolume(deps, { ...input, snapshotId: 'snap-3', source });
    expect(source.fetched).toHaveLength(BLOCKS);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(AFTER));
  });

  test('when it is damaged: the one before it is, or the run begins anew', async () => {
    const { vault, deps, input } = await interrupted();
    for (const key of checkpointsOf(vault)) {
      const object = vault.store.objects.get(key) ?? new Uint8Array();
      object[object.length - 1] = (object.at(-1) ?? 0) ^ 1;
    }
    const source = createSource(BEFORE, new Map());
    const { manifestKey } = await backupVolume(deps, { ...input, source });
    expect(source.fetched).toHaveLength(BLOCKS);
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(BEFORE));
  });

  test('when the pages that it names are gone', async () => {
    const { vault, deps, input } = await interrupted();
    for (const key of vault.store.objects.keys()) if (key.includes('/index/')) vault.store.objects.delete(key);
    const { manifestKey } = await backupVolume(deps, { ...input, source: createSource(BEFORE, new Map()) });
    expect(contentOf((await vault.restore(manifestKey)).image)).toEqual(contentOf(BEFORE));
  });

  test('by a run that has committed', async () => {
    const { vault, deps, input } = await interrupted();
    await backupVolume(deps, { ...input, source: createSource(BEFORE, new Map()) });
    const source = createSource(BEFORE, new Map());
    expect(await backupVolume(deps, { ...input, source })).toMatchObject({
      manifestKey: rootKey(SCOPE.volumeId, 'run-2'),
    });
    expect(source.fetched).toEqual([]);
    expect(vault.nonces.count()).toBeGreaterThan(BLOCKS);
  });
});

test('a run has at most 256 checkpoints, however large the volume', () => {
  expect(checkpointEvery({ volumeBytes: 2 ** 30, blockBytes: 2 ** 19 })).toBe(16_384);
  expect(checkpointEvery({ volumeBytes: 2 ** 46, blockBytes: 2 ** 19 })).toBe(2 ** 27 / 256);
});
