import { readKeyObject } from './key-object.ts';
import { type AttemptRef, kindOfObject } from './layout.ts';
import { mapInOrder } from './pipeline.ts';
import type { VaultDeps } from './manifest.ts';
import type { BlobStore } from './ports.ts';
import type { RestoreInput } from './restore.ts';
import { type PackUse, type PlannedRead, planRestore } from './restore-plan.ts';

const KEYS_AT_ONCE = 16;

/** What of one attempt a point needs: its packs, their whole size, and how many of the point's blocks lie in them. */
export type AttemptUse = AttemptRef & { volumeId: string; packs: number; packBytes: number; blocks: number };

/** A key object that a restore reads, and for whom the key is wrapped. */
export type KeyUse = { object: string; recipients: { kind: number; name: string }[] };

/** What a restore of a point needs and reads. */
export type PointStat = {
  attempts: AttemptUse[];
  keys: KeyUse[];
  /** Distinct objects, requests and bytes: root, keys, bundles, and packs. */
  reads: { objects: number; requests: number; bytes: number };
};

/** A store that counts what is read through it, and keeps the names of all that are no packs. */
function countReads(store: BlobStore) {
  const reads = { requests: 0, bytes: 0, names: new Set<string>() };
  const counted: BlobStore = {
    ...store,
    async get(key, range) {
      const bytes = await store.get(key, range);
      reads.requests += 1;
      reads.bytes += bytes.length;
      if (kindOfObject(key) !== 'packs') reads.names.add(key);
      return bytes;
    },
  };
  return { counted, reads };
}

/** Counts the packs of each attempt. */
function countPacks() {
  const attempts = new Map<string, { use: AttemptUse; ordinals: Set<number> }>();
  return {
    add({ volumeId, runId, attempt, ordinal, sizeBytes }: PackUse): void {
      const name = `${volumeId}/${runId}/${attempt}`;
      const known = attempts.get(name) ?? {
        use: { volumeId, runId, attempt, packs: 0, packBytes: 0, blocks: 0 },
        ordinals: new Set<number>(),
      };
      attempts.set(name, known);
      known.use.blocks += 1;
      if (known.ordinals.has(ordinal)) return;
      known.ordinals.add(ordinal);
      known.use.packs += 1;
      known.use.packBytes += sizeBytes;
    },
    list: () => [...attempts.values()].map(({ use }) => use),
  };
}

async function readKeys(store: BlobStore, names: readonly string[]): Promise<KeyUse[]> {
  const keys: KeyUse[] = [];
  const read = async (object: string) => ({ object, ...readKeyObject(await store.get(object)) });
  for await (const { object, recipients } of mapInOrder(names, KEYS_AT_ONCE, read))
    keys.push({ object, recipients: recipients.map(({ kind, name }) => ({ kind, name })) });
  return keys;
}

/**
 * What a restore of a point needs and, to the byte, what one lane of it reads. `onRead` hears of each read of blocks. Reads manifest,
 * keys and the ends of packs itself.
 *
 * @throws as `restoreVolume`
 */
export async function statPoint(
  deps: VaultDeps,
  input: RestoreInput,
  options: { signal?: AbortSignal; onRead?: (read: PlannedRead) => void } = {},
): Promise<PointStat> {
  const { counted, reads } = countReads(deps.store);
  const packs = countPacks();
  let [requests, bytes] = [0, 0];
  for await (const read of planRestore({ ...deps, store: counted }, input, {
    ...options,
    onBlock: (pack) => packs.add(pack),
  })) {
    requests += 1;
    bytes += read.length;
    options.onRead?.(read);
  }
  const attempts = packs.list();
  const names = [...reads.names].toSorted();
  return {
    attempts,
    keys: await readKeys(
      deps.store,
      names.filter((name) => kindOfObject(name) === 'keys'),
    ),
    reads: {
      objects: names.length + attempts.reduce((sum, use) => sum + use.packs, 0),
      requests: reads.requests + requests,
      bytes: reads.bytes + bytes,
    },
  };
}
