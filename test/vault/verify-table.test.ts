import { expect, test } from 'vitest';
import { createObjectTable } from '../../src/vault/verify-table.ts';

const attemptOf = (n: number) => n.toString(16).padStart(32, '0');
const closed = { sizeBytes: 7, directoryOffset: 3, sha256: 'ab'.repeat(32) };

test('what lies behind a position is the same, from wherever one looks', () => {
  const table = createObjectTable();
  for (const kind of ['packs', 'index'] as const)
    for (const runId of ['run-1', 'run-10', 'run-2'])
      for (const attempt of [attemptOf(1), attemptOf(2)])
        for (let ordinal = 0; ordinal < 70; ordinal += 3)
          table.need(kind, { volumeId: 'vol-1', runId, attempt, ordinal, closed }, ordinal, 1);
  const all = [...table.needed()];
  expect(all).toHaveLength(2 * 3 * 2 * 24);
  expect(all.map(({ position }) => position)).toEqual(all.map(({ position }) => position).toSorted());
  expect(all.at(-1)).toMatchObject({ slots: 69, series: 1, ref: { ordinal: 69, closed } });
  for (const [n, { position }] of all.entries()) {
    const behind = [...table.needed(position)].filter((one) => one.position > position);
    expect(behind.length).toBe(all.length - n - 1);
  }
});

test('an object can be needed as one thing only', () => {
  const table = createObjectTable();
  const ref = { volumeId: 'vol-1', runId: 'run-1', attempt: attemptOf(1), ordinal: 4_000_000, closed };
  expect(table.need('packs', ref, 5, 0)).toBe(true);
  expect(table.need('packs', ref, 9, 0)).toBe(true);
  expect(table.need('packs', ref, 5, 1)).toBe(false);
  expect(table.need('packs', { ...ref, closed: { ...closed, sha256: 'cd'.repeat(32) } }, 5, 0)).toBe(false);
  expect([...table.needed()]).toMatchObject([{ slots: 9, series: 0, ref }]);
});
