import { describe, expect, test } from 'vitest';
import { ELEMENT_CASES } from './iam-cases-elements.ts';
import { KIND_CASES } from './iam-cases-kinds.ts';
import { OWN_CASES } from './iam-cases-ours.ts';
import { PRODUCT_CASES } from './iam-cases-product.ts';
import { TRUST_CASES } from './iam-cases-trust.ts';
import { judgedByUs } from './iam-judges.ts';

// The first four are put to another simulator as well: iam-simulate.slow.test.ts.
describe.each([
  ['policies that the product builds', PRODUCT_CASES],
  ['trust policies', TRUST_CASES],
  ['elements of a policy', ELEMENT_CASES],
  ['policies of several kinds', KIND_CASES],
  ['what no other simulator was asked', OWN_CASES],
])('%s', (_kind, cases) => {
  test.each(cases.map((it) => [it.allowed ? 'allowed' : 'refused', it.name, it] as const))('%s: %s', (_, __, it) => {
    expect(judgedByUs(it)).toBe(it.allowed);
  });
});
