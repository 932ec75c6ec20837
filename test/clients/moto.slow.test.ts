import { afterAll, beforeAll, expect, test } from 'vitest';
import { openAccount, runSteps, type Step } from './boto.ts';
import { openPython } from './debian.ts';
import { differences, judged } from './differences.ts';
import { EXPLANATIONS } from './moto-differences.ts';
import { startMoto } from './moto-server.ts';
import { BOTO3, MOTO } from './versions.ts';

let current: Awaited<ReturnType<typeof openPython>>;
beforeAll(async () => {
  current = await openPython(BOTO3, MOTO);
}, 900_000);
afterAll(() => current.remove());

async function answersOfMoto(): Promise<Step[]> {
  const moto = await startMoto(current.python);
  try {
    // moto takes any key for the account's own.
    const env = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7MASTER', AWS_SECRET_ACCESS_KEY: 'secret' };
    return (await runSteps(current.python, [moto.url], env)).steps;
  } finally {
    await moto.stop();
  }
}

/** Another answer than the one given. */
const changed = ({ got, ...step }: Step): Step => ({ ...step, got: { ...got, outcome: `Not${got.outcome}` } });

test('sandbox and moto give the same answers, but where a reason and its source are written down', async () => {
  const { endpoint, env } = await openAccount();
  const { steps: ours } = await runSteps(current.python, [endpoint], env);
  const theirs = await answersOfMoto();
  const found = differences(ours, theirs);
  expect(judged(found, EXPLANATIONS)).toEqual({ unexplained: [], outdated: [] });

  // What both judges agree on is most of it, refusals too.
  const agreed = ours.filter(
    ({ step }) => !found.some((one) => one.startsWith(`${step}:`) || one.startsWith(`${step}.`)),
  );
  expect(agreed.length).toBeGreaterThanOrEqual(75);
  expect(agreed.filter(({ got }) => got.outcome !== 'ok').length).toBeGreaterThanOrEqual(30);

  // A wrong answer planted at any step that they agree on is noticed, and so is an explanation of nothing.
  for (const { step } of agreed) {
    const planted = ours.map((one) => (one.step === step ? changed(one) : one));
    expect(judged(differences(planted, theirs), EXPLANATIONS).unexplained).toHaveLength(1);
  }
  const [first] = EXPLANATIONS;
  if (!first) throw new Error('moto and the sandbox never agreed in everything');
  const idle = { ...first, of: ['kms_makes_a_key: ok → 500'] };
  expect(judged(found, [...EXPLANATIONS, idle]).outdated).toEqual(idle.of);
});
