import { describe, expect, test } from 'vitest';
import { lanesOver, restoreLanesOver } from './lanes-over.ts';
import { expectedOf, restoreShape } from './shape-run.ts';
import { HISTORIES } from './shapes-histories.ts';
import { SINGLE } from './shapes-single.ts';

describe('byte for byte comes back every point of a volume', () => {
  test.each(Object.entries(HISTORIES))('%s', async (_, shape) => {
    expect(await restoreShape(shape)).toEqual(expectedOf(shape));
  });
});

/** What stripes, spans and packs of several lanes may get wrong: borders, holes, equal blocks, what is known already. */
const NAMES = [
  'that was never written',
  'of one block',
  'of a stripe and one block',
  'with a few blocks in each stripe',
  'with holes of growing length',
  'of equal blocks',
  'whose second half mirrors the first',
  'with more leaves than wait for a pack',
  'with one block in each of 40 nodes',
  'in which nothing changes',
  'in which two leaves change places',
  'whose node becomes empty and is filled again',
  'that grows three times',
  'of which all points but first and last are pruned',
];
const THROUGH_LANES = Object.entries({ ...SINGLE, ...HISTORIES }).filter(([name]) => NAMES.includes(name));

describe('byte for byte comes back, through three lanes at the other end of a line, a volume', () => {
  test.each(THROUGH_LANES)('%s', async (_, shape) => {
    const outcome = await restoreShape(shape, {
      backup: (vault, source) => ({ openLanes: lanesOver(vault, source, 3).openLanes }),
      restore: (vault, sink) => ({ openRestoreLanes: restoreLanesOver(vault, sink, 3) }),
    });
    expect(outcome).toEqual(expectedOf(shape));
  });
  test('each of the shapes that were named', () => expect(THROUGH_LANES).toHaveLength(NAMES.length));
});
