import { type Clock, systemClock } from '../../src/core/clock.ts';
import { type BackupDeps, backupVolume } from '../../src/vault/backup.ts';
import type { BackupInput } from '../../src/vault/backup-plan.ts';
import { createNonceMonitor } from '../../src/crypto/nonce-monitor.ts';
import {
  createMemoryKeys,
  createMemorySink,
  createMemorySource,
  createMemoryStore,
  type MemoryImage,
} from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';

/** Small blocks keep the tests fast: the engine takes the block size from its source. */
export const BLOCK = 4_096;
export const SCOPE = { cell: 'eu', tenantId: 'ten_eu_a', volumeId: 'vol-1' };

/** A block of compressible bytes that are all its own. */
export function block(seed: number, blockBytes = BLOCK): Uint8Array {
  const bytes = Buffer.alloc(blockBytes);
  for (let at = 0; at < blockBytes; at += 16) bytes.write(`${seed}:${at}:`.slice(0, 16), at, 'latin1');
  return bytes;
}

/** A block that does not compress (xorshift, so that a failure replays). */
export function noise(seed: number, blockBytes = BLOCK): Uint8Array {
  const words = new Uint32Array(blockBytes / 4);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer);
}

export const zeros = (blockBytes = BLOCK) => new Uint8Array(blockBytes);

/** What a reader of the volume sees: blocks of zeros and missing blocks are the same. */
export function contentOf(image: MemoryImage): Map<number, string> {
  const stored = [...image].filter(([, bytes]) => bytes.some((byte) => byte !== 0));
  return new Map(
    stored.toSorted(([a], [b]) => a - b).map(([index, bytes]) => [index, Buffer.from(bytes).toString('base64')]),
  );
}

/** One tenant's vault in memory, with the nonce monitor on and every block opened again. */
export function createVault(clock: Clock = systemClock) {
  const store = createMemoryStore(clock);
  const keys = createMemoryKeys();
  const nonces = createNonceMonitor();
  const deps = { store, keys, clock, monitor: nonces.monitor, checkAll: true } satisfies BackupDeps;
  return {
    store,
    keys,
    deps,
    nonces,
    async backup(
      image: MemoryImage,
      options: Partial<BackupInput> & {
        runId: string;
        blocks?: number;
        lineage?: ReadonlyMap<string, MemoryImage>;
        tuning?: NonNullable<BackupDeps['tuning']>;
      },
    ) {
      const { blocks = 64, lineage, tuning, ...input } = options;
      const source = createMemorySource({
        image,
        blockBytes: BLOCK,
        volumeBytes: blocks * BLOCK,
        ...(lineage ? { lineage } : {}),
      });
      return backupVolume(
        { ...deps, ...(tuning ? { tuning } : {}) },
        { ...SCOPE, snapshotId: `snap-${input.runId}`, source, ...input },
      );
    },
    async restore(
      manifestKey: string,
      options: { scope?: typeof SCOPE; volumeBytes?: number; blockBytes?: number } = {},
    ) {
      const sink = createMemorySink({
        blockBytes: options.blockBytes ?? BLOCK,
        volumeBytes: options.volumeBytes ?? 2 ** 46,
      });
      const result = await restoreVolume({ store, keys }, { ...SCOPE, ...options.scope, manifestKey }, sink);
      return { ...result, image: sink.image, isComplete: sink.isComplete() };
    },
  };
}

export type Vault = ReturnType<typeof createVault>;
