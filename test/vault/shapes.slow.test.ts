import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lanesOver, restoreLanesOver } from './lanes-over.ts';
import { expectedOf, restoreShape } from './shape-run.ts';
import { at, chain, chaos, LEAF, NODE, once, over, range, REAL, type Shape, text, without } from './shapes.ts';
import { anyShape } from './shapes-random.ts';

async function expectExact(shape: Shape) {
  expect(await restoreShape(shape)).toEqual(expectedOf(shape));
}

test('every point of a thousand random volumes comes back byte for byte', async () => {
  await fc.assert(fc.asyncProperty(anyShape, expectExact), { numRuns: 1_000 });
});

test('every point of random volumes comes back byte for byte through lanes at the other end of a line', async () => {
  const property = fc.asyncProperty(anyShape, fc.integer({ min: 2, max: 5 }), async (shape, lanes) => {
    const outcome = await restoreShape(shape, {
      backup: (vault, source) => ({ openLanes: lanesOver(vault, source, lanes).openLanes }),
      restore: (vault, sink) => ({ openRestoreLanes: restoreLanesOver(vault, sink, lanes) }),
    });
    expect(outcome).toEqual(expectedOf(shape));
  });
  await fc.assert(property, { numRuns: 100 });
});

test('a node of which every leaf is full comes back, and the next one', async () => {
  const blockBytes = 64;
  const make = (n: number) => text(n, blockBytes);
  const full = at(range(0, NODE + LEAF), make);
  await expectExact({ ...once(NODE + LEAF, full, blockBytes), packBytes: 2 ** 20 });
});

test('a hundred incrementals of 512 KiB blocks come back, of which two thirds are pruned', async () => {
  const make = (n: number) => (n % 2 ? chaos(n, REAL) : text(n, REAL));
  const first = at(range(0, 40), make);
  let content: ReadonlyMap<number, Uint8Array> = first;
  const rest = range(1, 100).map((n) => {
    content = over(
      without(content, [(n * 7) % 50]),
      at([(n * 11) % 50, (n * 13) % 50], () => make(n + 1_000)),
    );
    return content;
  });
  await expectExact({ ...chain(64, first, ...rest), blockBytes: REAL, keeps: (point) => point % 3 === 0 });
});
