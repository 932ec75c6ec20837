import { expect } from 'vitest';
import { openAws } from '../sandbox/world.ts';
import { runToEnd } from './debian.ts';

/** What AWS answered: the error code or `ok`, and the fields that matter. */
export type Answer = { outcome: string; fields: Record<string, unknown> };
/** One step of the script: what AWS answers by its documentation, and what came back. */
export type Step = { step: string; expected: Answer; got: Answer };

const SCRIPT = 'test/clients/boto/run.py';
const NOT_KNOWN = 'not known to this client';

/** Runs every step of the boto3 script with one Python. */
export async function runSteps(python: string, args: readonly string[], env: Record<string, string>) {
  const { status, stdout, stderr } = await runToEnd(python, [SCRIPT, ...args], {
    PATH: '/usr/bin:/bin',
    PYTHONDONTWRITEBYTECODE: '1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_DEFAULT_REGION: 'eu-central-1',
    ...env,
  });
  if (status !== 0) throw new Error(`${SCRIPT} ended with ${status}: ${stderr.slice(-2_000)}`);
  const [versions = '', ...lines] = stdout.trim().split('\n');
  expect(lines.length).toBeGreaterThan(100);
  return {
    versions: JSON.parse(versions) as { boto3: string; botocore: string },
    steps: lines.map((line) => JSON.parse(line) as Step),
  };
}

/** An account of its own in a sandbox of its own, in the environment variables that every SDK reads. */
export async function openAccount() {
  const { endpoint, owner } = await openAws();
  return {
    endpoint,
    env: { AWS_ACCESS_KEY_ID: owner.accessKeyId, AWS_SECRET_ACCESS_KEY: owner.secretAccessKey },
  };
}

/** The steps that this client is too old to take. */
export const notKnown = (steps: readonly Step[]) =>
  steps.filter(({ got }) => got.outcome === NOT_KNOWN).map(({ step }) => step);

/** Expected and given answers side by side, without the steps that this client cannot take. */
export function sideBySide(steps: readonly Step[]) {
  const taken = steps.filter(({ got }) => got.outcome !== NOT_KNOWN);
  return {
    got: Object.fromEntries(taken.map(({ step, got }) => [step, got])),
    expected: Object.fromEntries(taken.map(({ step, expected }) => [step, expected])),
  };
}
