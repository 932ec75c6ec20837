import { createHash } from 'node:crypto';
import { createByteReader, createByteWriter, fromHex, toHex } from '../crypto/bytes.ts';
import type { AttemptRef, VolumeScope } from './layout.ts';
import { closedOf, type ContainerRef, corrupt, DIGEST_BYTES } from './places.ts';

/** Packs that one page of an inventory lists. */
const PAGE_PACKS = 8_192;

/** One pack in an inventory: what an attestation can cite. `lockedUntilMs` is 0 for a pack that is not locked. */
export type InventoryEntry = { ordinal: number; sizeBytes: number; sha256: string; lockedUntilMs: number };

function encodeEntry(entry: InventoryEntry): Uint8Array {
  const writer = createByteWriter();
  writer.u32(entry.ordinal);
  writer.u32(entry.sizeBytes);
  writer.bytes(fromHex(entry.sha256));
  writer.u64(entry.lockedUntilMs);
  return writer.done();
}

/**
 * Root of a Merkle tree (RFC 6962, section 2.1) over leaves that come one by one: it keeps one hash for each full subtree, so
 * a million leaves need twenty.
 */
function createMerkleTree() {
  const hash = (prefix: number, ...parts: Uint8Array[]) => {
    const sum = createHash('sha256').update(Uint8Array.of(prefix));
    for (const part of parts) sum.update(part);
    return sum.digest();
  };
  const subtrees: { leaves: number; hash: Uint8Array }[] = [];
  return {
    add(leaf: Uint8Array): void {
      let added = { leaves: 1, hash: hash(0, leaf) as Uint8Array };
      for (let left = subtrees.at(-1); left?.leaves === added.leaves; left = subtrees.at(-1)) {
        subtrees.pop();
        added = { leaves: left.leaves * 2, hash: hash(1, left.hash, added.hash) };
      }
      subtrees.push(added);
    },
    root(): Uint8Array {
      const last = subtrees.at(-1);
      if (!last) return createHash('sha256').digest();
      return subtrees.slice(0, -1).reduceRight((right, left) => hash(1, left.hash, right), last.hash);
    },
  };
}

/**
 * Takes down every pack that an attempt wrote, and hands on a page whenever one is full.
 *
 * @param put stores a page of this number
 */
export function createInventory(
  scope: VolumeScope,
  { runId, attempt }: AttemptRef,
  put: (page: number, bytes: Uint8Array) => Promise<void>,
) {
  const labels = createByteWriter();
  for (const field of ['domicile/v1/leaf', scope.cell, scope.tenantId, scope.volumeId, runId, attempt])
    labels.text(field);
  const tree = createMerkleTree();
  let entries: Uint8Array[] = [];
  let pages = 0;
  let packs = 0;
  let bytes = 0;
  const early = new Map<number, InventoryEntry>();
  function list(entry: InventoryEntry): void {
    const bytesOfEntry = encodeEntry(entry);
    tree.add(Buffer.concat([labels.done(), bytesOfEntry]));
    entries.push(bytesOfEntry);
    packs += 1;
    bytes += entry.sizeBytes;
  }
  async function putPage(): Promise<void> {
    if (entries.length === 0) return;
    const writer = createByteWriter();
    writer.u32(pages);
    writer.u16(entries.length);
    for (const entry of entries) writer.bytes(entry);
    await put(pages, writer.done());
  }
  return {
    /** Packs may come out of order: several are filled at once. They are listed in order. */
    async add(pack: ContainerRef, lockedUntilMs: number): Promise<void> {
      const { sizeBytes, sha256 } = closedOf(pack);
      early.set(pack.ordinal, { ordinal: pack.ordinal, sizeBytes, sha256, lockedUntilMs });
      for (let next = early.get(packs); next; next = early.get(packs)) {
        early.delete(packs);
        list(next);
        if (entries.length < PAGE_PACKS) continue;
        await putPage();
        entries = [];
        pages += 1;
      }
    },
    /** What is listed so far. A page that is not full is put as it is, and again, under its number, when it has grown. */
    async state(): Promise<{ packs: number; bytes: number; merkleRoot: string }> {
      await putPage();
      return { packs, bytes, merkleRoot: toHex(tree.root()) };
    },
  };
}

/** @throws Fault `object_corrupt` for bytes that are not page `page` of an inventory */
export function decodeInventory(page: number, bytes: Uint8Array): InventoryEntry[] {
  const reader = createByteReader(bytes);
  if (reader.u32() !== page) throw corrupt(`Inventory page ${page}`);
  const entries = reader.table(() => ({
    ordinal: reader.u32(),
    sizeBytes: reader.u32(),
    sha256: toHex(reader.bytes(DIGEST_BYTES)),
    lockedUntilMs: reader.u64(),
  }));
  reader.end();
  return entries;
}
