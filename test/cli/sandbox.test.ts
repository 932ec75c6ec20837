import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { expect, onTestFinished, test } from 'vitest';
import { newFolder, runCommand, startCommand } from './command.ts';

/** A sandbox as a stranger starts it, and its commands in the same folder. */
async function openSandbox() {
  const cwd = newFolder();
  const { child, done } = startCommand(['sandbox', 'start'], { cwd });
  onTestFinished(async () => {
    child.kill('SIGINT');
    expect((await done).code).toBe(0);
  });
  const url = await new Promise<string>((resolve) =>
    createInterface({ input: child.stdout }).once('line', (line) => resolve((JSON.parse(line) as { url: string }).url)),
  );
  const sandbox = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCommand(['sandbox', ...args, '--json'], { cwd });
    return { code, stderr, document: JSON.parse(stdout) as Record<string, unknown> };
  };
  return { cwd, url, sandbox };
}

test('a stranger starts a sandbox, takes an account, makes calls fail, moves its clock and sees who called', async () => {
  const { cwd, url, sandbox } = await openSandbox();
  const { document: account } = await sandbox('account', '222222222222');
  const credentials = {
    accessKeyId: String(account['accessKeyId']),
    secretAccessKey: String(account['secretAccessKey']),
  };
  const sts = new STSClient({ endpoint: url, region: 'eu-central-1', credentials, maxAttempts: 1 });
  const call = () => sts.send(new GetCallerIdentityCommand({}));
  const { document: fault } = await sandbox('faults', 'add', 'throttle', '--service', 'sts', '--times', '1');
  await expect(call()).rejects.toMatchObject({ name: 'Throttling' });
  expect(await call()).toMatchObject({ Account: '222222222222' });
  expect((await sandbox('faults', 'list')).document).toMatchObject({
    items: [{ id: fault['id'], matched: 2, met: 1 }],
  });
  expect((await sandbox('faults', 'remove', String(fault['id']))).code).toBe(0);
  expect((await sandbox('settings', '--quotas', 'on')).document).toMatchObject({ quotas: true });
  const later = await sandbox('settings', '--iam-effective-after', '2000');
  expect(later.document).toMatchObject({ quotas: true, iamEffectiveAfterMs: 2_000 });
  const ahead = Date.parse(String((await sandbox('clock', '+7d')).document['now'])) - Date.now();
  expect(ahead).toBeGreaterThan(6.9 * 86_400_000);
  const calls = await runCommand([
    'sandbox',
    'calls',
    '--url',
    url,
    '--admin-token-file',
    join(cwd, '.sandbox', 'admin-token'),
  ]);
  expect(calls.stdout).toMatch(/GetCallerIdentity +400 +1\n.*GetCallerIdentity +200 +1/);
});

test('a rule that is wrong ends with every mistake named', async () => {
  const { sandbox } = await openSandbox();
  const { code, document } = await sandbox('faults', 'add', 'slow', '--times', '0');
  expect(code).toBe(5);
  expect(document).toMatchObject({ error: { errors: [{ pointer: '/times' }, { pointer: '/ms' }] } });
});

test('without a sandbox the commands say how to start one', async () => {
  const { code, stderr } = await runCommand(['sandbox', 'calls']);
  expect(code).toBe(2);
  expect(stderr).toContain('sandbox start');
});
