import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSandbox, type Sandbox } from '../../src/sandbox/server.ts';
import { createSandboxControl } from '../../src/stranger/sandbox-control.ts';
import { agrees, judge, refuses } from './case.ts';
import { type Lab, openLab } from './lab.ts';
import { CONTRACT, refusals } from './table.ts';

/** The 16 forbidden things that a widespread emulator allows, and the 5 that it refuses as well. */
const FIRST = [
  'sts-external-id-wrong',
  'sts-external-id-missing',
  'sts-trust-of-another',
  'sts-role-unknown',
  'iam-session-deny-all',
  'kms-disabled',
  'kms-pending-deletion',
  's3-checksum-wrong',
  's3-compliance-shortened',
  's3-bucket-owner',
  'ebs-put-checksum',
  'ebs-block-token-invalid',
  'ebs-read-pending',
  'ebs-complete-count',
  'ebs-put-completed',
  'ebs-unrelated',
  'kms-context-wrong',
  's3-create-only',
  's3-if-match-wrong',
  's3-compliance-delete',
  's3-compliance-bypass',
];

describe('the contract with AWS', () => {
  let sandbox: Sandbox;
  let lab: Lab;
  const dir = mkdtempSync(join(tmpdir(), 'contract-'));
  const unknown = (at: Lab) => at.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: ['snap-0123456789abcdef0'] }));

  beforeAll(async () => {
    sandbox = await createSandbox({ dir });
    const credentials = await createSandboxControl(sandbox.url, sandbox.adminToken).account('222222222222');
    lab = openLab({ endpoint: sandbox.url, awsRegion: 'eu-central-1', credentials, imageId: 'ami-0d0111c11e0000001' });
  });
  afterAll(async () => {
    await sandbox.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test.each(CONTRACT)('$id: $about', async (one) => {
    expect(await judge(one, lab)).toMatchObject({ ok: true });
  });

  test('finds the sandbox wrong when it refuses otherwise, agrees, or answers otherwise', async () => {
    const wrongCode = refuses('x', ['', ''], 'SomethingElse', unknown);
    const agreed = refuses('x', ['', ''], 'AccessDenied', async () => 1);
    const otherwise = agrees(
      'x',
      ['', ''],
      async () => 1,
      (answer) => answer === 2,
    );
    const refused = agrees('x', ['', ''], unknown, () => true);
    for (const planted of [wrongCode, agreed, otherwise, refused]) expect((await judge(planted, lab)).ok).toBe(false);
  });

  test('leaves nothing behind but versions under lock, and says so', async () => {
    expect(await lab.close()).toEqual([expect.stringContaining('holds versions under lock')]);
  });
});

describe('the table', () => {
  test('has at least 60 refusals and as many agreements, the first 21 among them', () => {
    const ids = CONTRACT.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(refusals(CONTRACT).length).toBeGreaterThanOrEqual(60);
    expect(CONTRACT.length - refusals(CONTRACT).length).toBeGreaterThanOrEqual(60);
    expect(refusals(CONTRACT).map(({ id }) => id)).toEqual(expect.arrayContaining(FIRST));
  });

  test('names a source for each case, and lists what is not certain among what could not be checked', () => {
    const unverified = readFileSync('docs/unverified.md', 'utf8');
    expect(CONTRACT.filter(({ source }) => source.length < 5)).toEqual([]);
    expect(
      CONTRACT.filter(({ id, uncertain }) => uncertain !== undefined && !unverified.includes(`\`${id}\``)),
    ).toEqual([]);
  });
});
