import { createHash, randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, type RouterProcess, startRouterProcess, textOf } from './router-process.ts';

const MIB = 1024 ** 2;
const SIZE_MIB = 1024;
const GROWTH_MAX_MIB = 150;

/** A gibibyte in which no two mebibytes are alike, hashed as it is sent. */
function gibibyte() {
  const hash = createHash('sha256');
  const random = randomFillSync(Buffer.alloc(MIB));
  function* parts() {
    for (let at = 0; at < SIZE_MIB; at += 1) {
      const part = Buffer.from(random);
      part.writeUInt32LE(at);
      hash.update(part);
      yield part;
    }
  }
  return { stream: Readable.from(parts(), { objectMode: false }), digest: () => hash.digest('hex') };
}

async function digestOf(stream: Readable): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const part of stream) {
    sizeBytes += (part as Buffer).length;
    hash.update(part as Buffer);
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

let sent: ReturnType<typeof gibibyte>;
let router: RouterProcess;
beforeAll(async () => {
  router = await startRouterProcess((request, response) => {
    if (request.method === 'POST') void digestOf(request).then((digest) => response.end(JSON.stringify(digest)));
    else if (request.url === '/v1/large') {
      sent = gibibyte();
      void pipeline(sent.stream, response);
    } else response.end('small');
  });
});
afterAll(() => router.stop());

/** A line of /proc/<pid>/status, in MiB: `VmRSS` is memory now, `VmHWM` the most there ever was. */
function memoryMib(line: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${router.pid}/status`, 'utf8');
  return Number(new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
}

/** Memory of the router once it has served something. */
async function warmMib(): Promise<number> {
  const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/small' });
  outgoing.end();
  expect(await textOf(await answer)).toBe('small');
  return memoryMib('VmRSS');
}

test('1 GiB up arrives unchanged, in flat memory', async () => {
  const before = await warmMib();
  const { outgoing, answer } = open(router, { method: 'POST', path: '/v1/large' });
  const body = gibibyte();
  await pipeline(body.stream, outgoing);
  expect(JSON.parse(await textOf(await answer))).toEqual({ sizeBytes: SIZE_MIB * MIB, sha256: body.digest() });
  expect(memoryMib('VmHWM') - before).toBeLessThan(GROWTH_MAX_MIB);
});

test('1 GiB down arrives unchanged, in flat memory', async () => {
  const before = await warmMib();
  const { outgoing, answer } = open(router, { method: 'GET', path: '/v1/large' });
  outgoing.end();
  const received = await digestOf(await answer);
  expect(received).toEqual({ sizeBytes: SIZE_MIB * MIB, sha256: sent.digest() });
  expect(memoryMib('VmHWM') - before).toBeLessThan(GROWTH_MAX_MIB);
});
