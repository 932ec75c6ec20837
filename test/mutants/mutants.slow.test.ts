import { afterAll, describe, expect, test } from 'vitest';
import { createCopy, mutants } from './mutants.ts';

const all = mutants();
const copy = createCopy();
afterAll(() => copy.remove());

test('there are bugs to seed', () => {
  expect(all.length).toBeGreaterThanOrEqual(15);
});

describe('without a bug', () => {
  test.each([...new Set(all.map(({ killedBy }) => killedBy))])('%s passes', async (file) => {
    expect(await copy.runTests(file)).toMatchObject({ failed: 0 });
  });
});

describe('a seeded bug is noticed', () => {
  test.each(all)('$name, by $killedBy', async (mutant) => {
    const { failed } = await copy.play(mutant);
    expect(failed).toBeGreaterThan(0);
  });
});
