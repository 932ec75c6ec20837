import { sha256, toHex } from '../crypto/bytes.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { contextOf, pageKey, type VolumeScope } from './layout.ts';
import { type Manifest, type ManifestReader, type PageRef, sealMetadata } from './manifest.ts';
import type { PackWriter } from './pack-writer.ts';
import { encodePage, PAGE_BLOCKS, type PageBlocks, type StoredBlock } from './page.ts';
import type { BlobStore } from './ports.ts';
import type { AttemptKeys } from './run-keys.ts';

/** Pages that wait for the pack of their last blocks to close. More of them close it early: memory stays bounded. */
const WAITING_PAGES_MAX = 16;

export type ParentManifest = { manifest: Manifest; reader: ManifestReader };

export type ManifestWriterOptions = {
  store: BlobStore;
  scope: VolumeScope;
  attempt: AttemptKeys;
  packs: PackWriter;
  parent: ParentManifest | null;
  random: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor | undefined;
};

/** Builds the pages of a new manifest from changes in ascending order; pages without a change are the parent's own. */
export function createManifestWriter(options: ManifestWriterOptions) {
  const { store, scope, attempt, packs, parent, random, monitor } = options;
  const refs = new Map<number, PageRef>((parent?.manifest.pages ?? []).map((ref) => [ref.ordinal, ref]));
  let current: { page: number; blocks: PageBlocks } | null = null;
  const waiting: { page: number; blocks: PageBlocks }[] = [];
  let bytesStored = 0;

  async function storePage({ page, blocks }: { page: number; blocks: PageBlocks }): Promise<void> {
    if (blocks.size === 0) return void refs.delete(page);
    const context = contextOf(scope, attempt, 'page', page);
    const bytes = await sealMetadata(
      { dataKey: attempt.keys.index, context, random, monitor },
      encodePage(page, blocks),
    );
    const { runId, attempt: attemptId } = attempt;
    const ref = { runId, attempt: attemptId, ordinal: page, sha256: toHex(sha256(bytes)), blocks: blocks.size };
    await store.putNew(pageKey(scope.volumeId, ref), bytes);
    bytesStored += bytes.length;
    refs.set(page, ref);
  }

  const isComplete = ({ blocks }: { blocks: PageBlocks }) =>
    [...blocks.values()].every(({ pack }) => pack.sha256 !== null);

  /** Stores the pages whose packs all have their names. */
  async function flush(): Promise<void> {
    for (let first = waiting[0]; first && isComplete(first); first = waiting[0]) {
      await storePage(first);
      waiting.shift();
    }
  }

  async function turnTo(page: number): Promise<void> {
    if (current) waiting.push(current);
    if (waiting.length >= WAITING_PAGES_MAX) await packs.close();
    await flush();
    const ref = refs.get(page);
    const blocks = ref && parent ? await parent.reader.page(ref) : new Map<number, StoredBlock>();
    current = { page, blocks };
  }

  return {
    bytesStored: () => bytesStored,
    /** Records where a block lies from now on; null: it reads as zeros. Indexes must ascend. */
    async set(index: number, block: StoredBlock | null): Promise<void> {
      const page = Math.floor(index / PAGE_BLOCKS);
      if (current?.page !== page) await turnTo(page);
      if (block) current?.blocks.set(index, block);
      else current?.blocks.delete(index);
    },
    /** The pages of the finished manifest, ascending. */
    async finish(): Promise<PageRef[]> {
      if (current) waiting.push(current);
      current = null;
      await packs.finish();
      await flush();
      return [...refs.values()].toSorted((a, b) => a.ordinal - b.ordinal);
    },
  };
}

export type ManifestWriter = ReturnType<typeof createManifestWriter>;
