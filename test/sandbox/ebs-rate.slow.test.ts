import { spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CreateSnapshotCommand } from '@aws-sdk/client-ec2';
import { Pool } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { createSandboxControl } from '../../src/stranger/sandbox-control.ts';
import { ACCOUNT, blockOf, clientsOf, type Login, listAll, newVolume, REGION } from './world.ts';

const BLOCKS = 512;
const READS = 8_192;
const CONNECTIONS = 16;

/** A sandbox in a process of its own, so that it has a core of its own. */
async function startProcess() {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-rate-'));
  const child = spawn(process.execPath, ['src/sandbox/main.ts', '--port', '0', '--dir', dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
    rmSync(dir, { recursive: true, force: true });
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return { url, control: createSandboxControl(url, readFileSync(join(dir, 'admin-token'), 'utf8')) };
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Signature Version 4 for a GET, by hand: an SDK's own cost would hide the sandbox's. */
function signGet(url: string, login: Login, target: { path: string; query: string }): Record<string, string> {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${stamp.slice(0, 8)}/${REGION}/ebs/aws4_request`;
  const { host } = new URL(url);
  const canonical = `GET\n${target.path}\n${target.query}\nhost:${host}\nx-amz-date:${stamp}\n\nhost;x-amz-date\n${sha256('')}`;
  const key = scope
    .split('/')
    .reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${login.secretAccessKey}`);
  const signature = createHmac('sha256', key).update(`AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`);
  return {
    'x-amz-date': stamp,
    authorization: `AWS4-HMAC-SHA256 Credential=${login.accessKeyId}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature.digest('hex')}`,
  };
}

/** Does this request answer exactly these bytes? Looked at as they come: gathering them would cost more than serving them. */
function reads(
  pool: Pool,
  request: { path: string; headers: Record<string, string> },
  wanted: Buffer,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let at = 0;
    let right = true;
    pool.dispatch(
      { method: 'GET', path: request.path, headers: request.headers },
      {
        onRequestStart() {},
        onResponseStart(_, statusCode) {
          right = statusCode === 200;
        },
        onResponseData(_, chunk) {
          right &&= chunk.equals(wanted.subarray(at, at + chunk.length));
          at += chunk.length;
        },
        onResponseEnd: () => resolve(right && at === wanted.length),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

test('GetSnapshotBlock gives every block whole and right at full speed', async () => {
  const { url, control } = await startProcess();
  const owner = await control.account(ACCOUNT);
  const { ec2, ebs } = clientsOf(url, owner);
  const VolumeId = await newVolume(ec2);
  const contents = Array.from({ length: BLOCKS }, (_, i) => blockOf(`block ${i}`));
  await control.writeDisk(
    owner,
    VolumeId,
    0,
    (async function* () {
      yield* contents;
    })(),
  );
  const { SnapshotId = '' } = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
  await expect
    .poll(
      () =>
        listAll(ebs, SnapshotId).then(
          (it) => it.blocks.length,
          () => 0,
        ),
      { timeout: 10_000 },
    )
    .toBe(BLOCKS);
  const { blocks } = await listAll(ebs, SnapshotId);

  const requests = Array.from({ length: READS }, (_, i) => {
    const block = blocks[i % BLOCKS];
    const path = `/snapshots/${SnapshotId}/blocks/${block?.BlockIndex}`;
    const query = `blockToken=${encodeURIComponent(block?.BlockToken ?? '')}`;
    return { index: i % BLOCKS, path: `${path}?${query}`, headers: signGet(url, owner, { path, query }) };
  });
  const pool = new Pool(url, { connections: CONNECTIONS });
  let next = 0;
  let wrong = 0;
  const lane = async () => {
    for (let request = requests[next++]; request; request = requests[next++]) {
      if (!(await reads(pool, request, contents[request.index] ?? Buffer.alloc(0)))) wrong += 1;
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  const seconds = (performance.now() - startedMs) / 1000;
  await pool.close();
  process.stdout.write(`GetSnapshotBlock: ${Math.round(READS / seconds)}/s (${READS} blocks of 512 KiB)\n`);
  expect(wrong).toBe(0);
});
