import { expect, test } from 'vitest';
import { playHistories, playHistory } from './history.ts';
import { OPERATIONS } from './operations.ts';
import { OPERATIONS_MIN } from './swarm.ts';

const HISTORIES = 60;

test('no acknowledged point is lost or altered, whatever dies when', async () => {
  const counts = await playHistories(0, HISTORIES);
  const missed = OPERATIONS.filter(({ name }) => !counts.get(`operation: ${name}`)).map(({ name }) => name);
  expect(missed).toEqual([]);
  expect(OPERATIONS_MIN).toBeGreaterThanOrEqual(30);
});

test('the history of a seed is the same each time, call by call', async () => {
  const [one, again, other] = [await playHistory(7), await playHistory(7), await playHistory(8)];
  expect(again.hash).toBe(one.hash);
  expect(other.hash).not.toBe(one.hash);
});
