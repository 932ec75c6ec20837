import type { Lab } from './lab.ts';

/**
 * One behaviour of AWS that a backup service relies on: a request in a state, and the answer. The same table is put to the
 * sandbox in every test run, and to real AWS by whoever has an account (`npm run contract:aws`).
 */
export type Case = {
  id: string;
  about: string;
  /** The page of AWS's documentation, or the API model, that says so. */
  source: string;
  /** Why AWS is not certain to do this; then docs/unverified.md has a row with the id. */
  uncertain: string | undefined;
  ask: (lab: Lab) => Promise<unknown>;
  /** The codes of which one must be the refusal's, or what the answer must hold. */
  expect: { refused: readonly string[] } | { holds: (answer: never) => boolean };
};

/** What it is about, its source, and what AWS is not certain of. */
type About = readonly [about: string, source: string, uncertain?: string];

/** AWS refuses, with one of these codes. */
export const refuses = (
  id: string,
  [about, source, uncertain]: About,
  refused: string | readonly string[],
  ask: Case['ask'],
): Case => ({ id, about, source, uncertain, ask, expect: { refused: [refused].flat() } });

/** AWS agrees, and its answer holds what is said. */
export const agrees = <T>(
  id: string,
  [about, source, uncertain]: About,
  ask: (lab: Lab) => Promise<T>,
  holds: (answer: T) => boolean,
): Case => ({ id, about, source, uncertain, ask, expect: { holds: holds as (answer: never) => boolean } });

export type Outcome = { ok: boolean; observed: string };

/** Puts one case to an AWS. */
export async function judge(one: Case, lab: Lab): Promise<Outcome> {
  try {
    const answer = await one.ask(lab);
    if ('refused' in one.expect) return { ok: false, observed: 'agreed' };
    return one.expect.holds(answer as never)
      ? { ok: true, observed: 'agreed' }
      : { ok: false, observed: `agreed, with another answer: ${JSON.stringify(answer)?.slice(0, 300)}` };
  } catch (error) {
    const code = error instanceof Error ? error.name : 'unknown';
    const text = `${code}: ${error instanceof Error ? error.message : String(error)}`;
    if (!('refused' in one.expect)) return { ok: false, observed: text.slice(0, 300) };
    return { ok: one.expect.refused.includes(code), observed: text.slice(0, 300) };
  }
}
