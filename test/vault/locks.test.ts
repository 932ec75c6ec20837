import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { GENERATION_MS, lockHorizon } from '../../src/vault/locks/generations.ts';
import { block, createVault } from './fixture.ts';

const DAY = 86_400_000;
const START = new Date(690 * GENERATION_MS + 10 * DAY);
const later = (days: number) => new Date(START.getTime() + days * DAY);

function createLockedVault() {
  let now = START;
  const clock: Clock = { now: () => now, sleep: async () => {} };
  const vault = createVault(clock);
  /** The ends of the locks of all objects of a kind: each once. */
  const locksOf = (kind: string) => {
    const keys = [...vault.store.objects.keys()].filter((key) => key.includes(`/${kind}/`));
    return [...new Set(keys.map((key) => vault.store.locks.get(key)?.toISOString() ?? 'none'))];
  };
  return { ...vault, locksOf, clock, set: (at: Date) => void (now = at) };
}

const image = new Map(Array.from({ length: 20 }, (_, n) => [n, block(n)] as const));

describe('a run whose point is locked', () => {
  test('puts packs and bundles with the lock of their generation, its root with that of the point, and keys with none', async () => {
    const vault = createLockedVault();
    await vault.backup(image, { runId: 'run-1', lockUntil: later(7) });
    const end = new Date(691 * GENERATION_MS).toISOString();
    for (const kind of ['packs', 'index']) expect(vault.locksOf(kind)).toEqual([end]);
    expect(vault.locksOf('roots')).toEqual([later(7).toISOString()]);
    expect(vault.locksOf('keys')).toEqual(['none']);
  });

  test('locks nothing beyond the horizon, and nothing at all without a lock', async () => {
    const vault = createLockedVault();
    await vault.backup(image, { runId: 'run-1', lockUntil: later(3_650) });
    for (const kind of ['packs', 'index', 'roots'])
      expect(vault.locksOf(kind)).toEqual([lockHorizon(START).toISOString()]);
    const plain = createLockedVault();
    await plain.backup(image, { runId: 'run-1' });
    expect(plain.store.locks.size).toBe(0);
  });
});
