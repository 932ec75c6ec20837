import { createCipheriv, hash, randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createEncoder } from '../../src/vault/codec.ts';
import { BLOCK_BYTES } from './image.ts';

/**
 * The least that a backup of an image can cost: hash, zstd-1 (the fastest binding that we know: the engine's own) and seal of every block that is not zeros, on `threads`
 * threads, each reading its share into memory first. A process of its own: `floor.ts <image> <blocks> <threads>`; it prints
 * one line of JSON, the work's wall and CPU alone.
 */
type Share = { path: string; blocks: number; first: number; step: number };

const encode = createEncoder();

function work(block: Buffer, key: Buffer, number: number): void {
  hash('sha256', block, 'buffer');
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(number, 8);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.update(encode(block).bytes);
  cipher.final();
  cipher.getAuthTag();
}

function runShare({ path, blocks, first, step }: Share): void {
  const file = openSync(path, 'r');
  const zeros = Buffer.alloc(BLOCK_BYTES);
  const mine: Buffer[] = [];
  for (let index = first; index < blocks; index += step) {
    const block = Buffer.alloc(BLOCK_BYTES);
    readSync(file, block, 0, BLOCK_BYTES, index * BLOCK_BYTES);
    if (!block.equals(zeros)) mine.push(block);
  }
  closeSync(file);
  parentPort?.postMessage('ready');
  parentPort?.once('message', () => {
    const key = randomBytes(32);
    mine.forEach((block, number) => work(block, key, number));
    parentPort?.postMessage('done');
  });
}

async function main(path: string, blocks: number, threads: number): Promise<void> {
  const workers = Array.from(
    { length: threads },
    (_, first) => new Worker(new URL(import.meta.url), { workerData: { path, blocks, first, step: threads } }),
  );
  const all = () =>
    Promise.all(
      workers.map(
        (worker) =>
          new Promise((resolve, reject) => {
            worker.once('message', resolve);
            worker.once('error', reject);
          }),
      ),
    );
  await all();
  const cpu = process.cpuUsage();
  const from = performance.now();
  const done = all();
  for (const worker of workers) worker.postMessage('go');
  await done;
  const seconds = (performance.now() - from) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  await Promise.all(workers.map((worker) => worker.terminate()));
  process.stdout.write(`${JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6 })}\n`);
}

if (isMainThread) {
  const [path = '', blocks = '', threads = ''] = process.argv.slice(2);
  await main(path, Number(blocks), Number(threads));
} else runShare(workerData);
