import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PAGE } from '../../src/vault/bundle-writer.ts';
import { createInventory, decodeInventory, type InventoryEntry } from '../../src/vault/inventory.ts';
import { createManifestReader } from '../../src/vault/manifest.ts';
import { block, createVault, SCOPE } from './fixture.ts';

const hash = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

/** RFC 6962, section 2.1, as it is written there. */
function treeHash(leaves: readonly Uint8Array[]): Uint8Array {
  const [leaf] = leaves;
  if (!leaf) return hash();
  if (leaves.length === 1) return hash(Uint8Array.of(0), leaf);
  const half = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return hash(Uint8Array.of(1), treeHash(leaves.slice(0, half)), treeHash(leaves.slice(half)));
}

const text = (value: string) => Buffer.concat([Buffer.of(0, value.length), Buffer.from(value)]);

const ATTEMPT = { runId: 'run-1', attempt: '0123456789abcdef0123456789abcdef' };
const LOCKED_UNTIL = new Date('2027-01-01T00:00:00Z');

/** A leaf as docs/format.md has it. */
function leafOf(attempt: string, { ordinal, sizeBytes, sha256, lockedUntilMs }: InventoryEntry): Uint8Array {
  const entry = Buffer.alloc(48);
  entry.writeUInt32BE(ordinal, 0);
  entry.writeUInt32BE(sizeBytes, 4);
  entry.write(sha256, 8, 'hex');
  entry.writeBigUInt64BE(BigInt(lockedUntilMs), 40);
  const { cell, tenantId, volumeId } = SCOPE;
  return Buffer.concat([...['domicile/v1/leaf', cell, tenantId, volumeId, 'run-1', attempt].map(text), entry]);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('the inventory of a run', () => {
  test.each([0, 1, 2, 3, 7, 8_192, 8_193])('of %i packs lists each, and states their tree hash', async (packs) => {
    const pages: Uint8Array[] = [];
    const inventory = createInventory(SCOPE, ATTEMPT, async (page, bytes) => {
      pages[page] = bytes;
    });
    const entries = Array.from({ length: packs }, (_, ordinal) => ({
      ordinal,
      sizeBytes: 1_000 + ordinal,
      sha256: hex(hash(Buffer.from(String(ordinal)))),
      lockedUntilMs: LOCKED_UNTIL.getTime(),
    }));
    for (const { ordinal, sizeBytes, sha256, lockedUntilMs } of entries) {
      const closed = { sizeBytes, sha256, directoryOffset: 0 };
      await inventory.add({ ...ATTEMPT, volumeId: SCOPE.volumeId, ordinal, closed }, lockedUntilMs);
    }
    const bytes = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const merkleRoot = hex(treeHash(entries.map((entry) => leafOf(ATTEMPT.attempt, entry))));
    expect(await inventory.state()).toEqual({ packs, bytes, merkleRoot });
    expect(pages.flatMap((page, number) => decodeInventory(number, page))).toEqual(entries);
  });

  test('is in the root, and speaks of the packs that are stored', async () => {
    const now = new Date(LOCKED_UNTIL.getTime() - 86_400_000);
    const vault = createVault({ now: () => now, sleep: async () => {} });
    const image = new Map(Array.from({ length: 20 }, (_, n) => [n, block(n)] as const));
    const { manifestKey } = await vault.backup(image, { runId: 'run-1', lockUntil: LOCKED_UNTIL });
    const reader = createManifestReader(vault.deps, SCOPE);
    const { inventory, attempt, lockUntil } = await reader.root(manifestKey);
    expect(lockUntil).toBe(LOCKED_UNTIL.toISOString());
    const [page] = inventory.pages;
    const entries = decodeInventory(0, await reader.page(PAGE.inventory, page!));
    const stored = [...vault.store.objects].filter(([key]) => key.includes('/packs/'));
    expect(entries).toEqual(
      stored.map(([key, { length }], ordinal) => ({
        ordinal,
        sizeBytes: length,
        sha256: key.slice(-64),
        lockedUntilMs: vault.store.locks.get(key)?.getTime(),
      })),
    );
    expect(entries[0]?.lockedUntilMs).toBeGreaterThanOrEqual(LOCKED_UNTIL.getTime());
    expect(inventory.merkleRoot).toBe(hex(treeHash(entries.map((entry) => leafOf(attempt, entry)))));
  });
});
