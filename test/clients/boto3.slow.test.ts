import { afterAll, beforeAll, expect, test } from 'vitest';
import { notKnown, openAccount, runSteps, sideBySide } from './boto.ts';
import { installDebian, openPython } from './debian.ts';
import { BOTO3 } from './versions.ts';

let current: Awaited<ReturnType<typeof openPython>>;
beforeAll(async () => {
  await installDebian('python3-boto3');
  current = await openPython(BOTO3);
}, 900_000);
afterAll(() => current.remove());

test("Debian's boto3 gets the documented answer to every step that it knows", async () => {
  const { endpoint, env } = await openAccount();
  const { versions, steps } = await runSteps('/usr/bin/python3', [endpoint], env);
  expect(versions.boto3).toMatch(/^1\./);
  const { got, expected } = sideBySide(steps);
  expect(got).toEqual(expected);
  // It is from 2022: these parameters came later, and only these are left to the current one.
  expect([...new Set(notKnown(steps))]).toHaveLength(9);
});

test('the current boto3 knows every step, finds the sandbox by AWS_ENDPOINT_URL, and gets the documented answers', async () => {
  const { endpoint, env } = await openAccount();
  const { versions, steps } = await runSteps(current.python, [], { ...env, AWS_ENDPOINT_URL: endpoint });
  expect(`boto3==${versions.boto3}`).toBe(BOTO3);
  expect(notKnown(steps)).toEqual([]);
  const { got, expected } = sideBySide(steps);
  expect(got).toEqual(expected);
  // A step that wrongly expected something else would not pass.
  const [first] = steps;
  expect({ ...got, [first?.step ?? '']: { outcome: 'AccessDenied', fields: {} } }).not.toEqual(expected);
});
