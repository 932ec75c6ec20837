import { isFault } from '../core/faults.ts';
import { fromHex, sha256, toHex } from '../crypto/bytes.ts';
import type { BackupInput } from './backup-plan.ts';
import { PAGE } from './bundle-writer.ts';
import { isUnreadable } from './checkpoint.ts';
import { createDedupIndex, DEDUP_PAGES_MAX, type DedupIndex, type StoredPacks } from './dedup.ts';
import { packsPrefix, rootKey, rootsPrefix } from './layout.ts';
import { createManifestReader, type Manifest, type ManifestReader, type VaultDeps } from './manifest.ts';
import type { BlobStore } from './ports.ts';
import type { KeyDeps } from './run-keys.ts';
import { sharedIdKey } from './shared-id-key.ts';

/** A point whose blocks a new one may name. */
type Source = { volumeId: string; manifest: Manifest; reader: ManifestReader };

/** What a run finds: the volume's newest other point, for the head chain, and the points whose blocks it may name. */
export type Earlier = {
  previous: Manifest['previous'];
  /** What its block ids are to be made with; null: nothing says, and it makes one. */
  idKey: Uint8Array | null;
  /** Those of them that have this id key, the volume's own first. */
  sources: readonly Source[];
};

/** The newest root of the volume but for this run's own. */
async function newestRoot(store: BlobStore, { volumeId, runId }: BackupInput): Promise<string | null> {
  let newest: string | null = null;
  for await (const { key } of store.list(rootsPrefix(volumeId)))
    if (key !== rootKey(volumeId, runId) && (newest === null || key > newest)) newest = key;
  return newest;
}

/** Roots that are looked for once more when one is gone as it is read: its point was deleted meanwhile. */
const TRIES = 3;

async function readNewest(store: BlobStore, input: BackupInput): Promise<{ key: string; bytes: Uint8Array } | null> {
  for (let n = 0; n < TRIES; n += 1) {
    const key = await newestRoot(store, input);
    if (key === null) return null;
    try {
      return { key, bytes: await store.get(key) };
    } catch (error) {
      if (!isFault(error, 'object_missing')) throw error;
    }
  }
  return null;
}

function noneIfUnreadable(error: unknown): null {
  if (isUnreadable(error)) return null;
  throw error;
}

/** Points of other volumes. One that does not open costs blocks that are stored twice, and nothing else. */
async function openRelated(deps: VaultDeps, input: BackupInput): Promise<Source[]> {
  const opened = (input.related ?? []).map(async ({ volumeId, manifestKey }): Promise<Source[]> => {
    const reader = createManifestReader(deps, { ...input, volumeId });
    const manifest = await reader.root(manifestKey).catch(() => null);
    return manifest ? [{ volumeId, manifest, reader }] : [];
  });
  return (await Promise.all(opened)).flat();
}

/**
 * Looks around before a run begins. A volume keeps the id key that it has; a new one that shares takes the one that is shared, so that
 * equal blocks have equal ids.
 *
 * @param parent whose pages the run begins with
 */
export async function findEarlier(
  deps: KeyDeps,
  input: BackupInput,
  reader: ManifestReader,
  parent: Manifest | null,
): Promise<Earlier> {
  const { volumeId } = input;
  const [newest, related] = await Promise.all([readNewest(deps.store, input), openRelated(deps, input)]);
  const opened = newest && (await reader.openRoot(newest.key, newest.bytes).catch(noneIfUnreadable));
  // Of bytes that do not open nobody knows whether they are the root's or the line's: the chain would be broken for good.
  const previous = newest && opened ? { runId: opened.runId, sha256: toHex(sha256(newest.bytes)) } : null;
  const own = parent ?? opened;
  const shared = !own && input.related ? toHex(await sharedIdKey(deps, input)) : null;
  const idKey = own?.idKey ?? shared;
  const sources = [...(own ? [{ volumeId, manifest: own, reader }] : []), ...related];
  return {
    previous,
    idKey: idKey === null ? null : fromHex(idKey),
    sources: sources.filter(({ manifest }) => manifest.idKey === idKey),
  };
}

type Condemned = BackupInput['condemned'];

/** Names from a listing, as far as they are needed. */
function createNames(listing: AsyncIterable<{ key: string }>, condemned: Condemned) {
  const rest = listing[Symbol.asyncIterator]();
  const names = new Set<string>();
  let newest = '';
  return async (last: string): Promise<ReadonlySet<string>> => {
    while (newest < last) {
      const next = await rest.next();
      if (next.done) break;
      newest = next.value.key;
      if (!condemned?.has(newest)) names.add(newest);
    }
    return names;
  };
}

/**
 * Names of an attempt's packs that are there to stay, listed once and no farther than hints go: a full backup of 64 TiB has
 * millions of packs.
 */
function createStoredPacks(store: BlobStore, volumeId: string, condemned: Condemned): StoredPacks {
  const listed = new Map<string, ReturnType<typeof createNames>>();
  return (attempt, last) => {
    const prefix = packsPrefix(volumeId, attempt);
    const names = listed.get(prefix) ?? createNames(store.list(prefix), condemned);
    listed.set(prefix, names);
    return names(last);
  };
}

/**
 * Fills in what earlier runs stored, newest first, as far as it pays. A page that does not read is no loss.
 *
 * @param pagesMax how many pages of known blocks are looked at, at most
 * @returns the index, and the other volumes whose blocks are in it
 */
export async function loadKnown(
  { store }: VaultDeps,
  { volumeId: own, condemned }: BackupInput,
  { sources }: Earlier,
  pagesMax: number,
): Promise<{ known: DedupIndex; others: string[] }> {
  const known = createDedupIndex();
  const others = new Set<string>();
  let pages = Math.min(DEDUP_PAGES_MAX, pagesMax);
  for (const { volumeId, manifest, reader } of sources) {
    const storedPacks = createStoredPacks(store, volumeId, condemned);
    for (const ref of manifest.dedup.slice(0, pages)) {
      pages -= 1;
      const bytes = await reader.page(PAGE.dedup, ref).catch(() => null);
      if (bytes === null) continue;
      if (volumeId !== own) others.add(volumeId);
      if (!(await known.load(volumeId, ref.number, bytes, storedPacks))) return { known, others: [...others] };
    }
  }
  return { known, others: [...others] };
}
