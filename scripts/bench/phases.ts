import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { createPrivateCa, issueLeaf } from '../../src/tls/certificates.ts';
import type { Order, Outcome } from './engine.ts';
import { BLOCK_BYTES } from './image.ts';
import type { Measure } from './ratios.ts';

const run = promisify(execFile);
const PEER = new URL('peer.ts', import.meta.url).pathname;
const ENGINE = new URL('engine.ts', import.meta.url).pathname;

type Peer = { child: ChildProcess; http: string; https: string; caFile: string };
type Report = {
  cpuSeconds: number;
  storedBytes: number;
  objects: number;
  blocksPut: number;
  blocksWrong: number;
  blocksToWrite: number;
};

/** What became of the engine's phases. `peerCpuSeconds` is the peer's own, counted in none of them. */
export type EngineResult = {
  backup: Measure;
  backupTls: Measure;
  incremental: Measure;
  restore: Measure;
  verify: Measure;
  storedBytes: number;
  puts: number;
  peerCpuSeconds: number;
};

async function startPeer(dir: string, images: readonly [string, string], blocks: number): Promise<Peer> {
  const now = new Date(performance.timeOrigin);
  const ca = await createPrivateCa({ commonName: 'bench', now });
  const leaf = await issueLeaf(ca, { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now });
  const [caFile, certFile, keyFile] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([
    writeFile(caFile, ca.certPem),
    writeFile(certFile, leaf.certPem),
    writeFile(keyFile, leaf.keyPem),
  ]);
  const args = [PEER, ...images, String(blocks), certFile, keyFile];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const [http, https]: [number, number] = JSON.parse(line);
    return { child, http: `http://127.0.0.1:${http}`, https: `https://localhost:${https}`, caFile };
  }
  throw new Error('The peer did not start.');
}

async function reportOf({ http }: Peer, prefix: string): Promise<Report> {
  const answer = await fetch(`${http}/report?prefix=${encodeURIComponent(prefix)}`);
  return (await answer.json()) as Report;
}

async function runPhase(peer: Peer, order: Order): Promise<Outcome> {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: peer.caFile };
  const { stdout } = await run(process.execPath, [ENGINE, JSON.stringify(order)], { env });
  return JSON.parse(stdout);
}

/**
 * Measures the engine against a peer that serves two images: a full backup over HTTP and over TLS, an incremental one, a restore of
 * it, whose every block the peer compares, and its verification.
 *
 * @throws Error when a restored block is wrong or missing
 */
export async function measureEngine(
  dir: string,
  images: readonly [string, string],
  blocks: number,
): Promise<EngineResult> {
  const peer = await startPeer(dir, images, blocks);
  const masterHex = randomBytes(32).toString('hex');
  const phase = (name: Order['phase'], more: Partial<Order> = {}) =>
    runPhase(peer, { phase: name, endpoint: peer.http, tenantId: 'plain', masterHex, manifestKey: null, ...more });
  const measure = ({ seconds, cpuSeconds, peakRssMiB }: Outcome): Measure => ({
    mbPerSec: (blocks * BLOCK_BYTES) / 1e6 / seconds,
    blocksPerSec: blocks / seconds,
    cpuSecPerGiB: cpuSeconds / ((blocks * BLOCK_BYTES) / 2 ** 30),
    peakRssMiB,
  });
  try {
    const backup = await phase('backup');
    const { storedBytes, objects } = await reportOf(peer, 't/plain/');
    const backupTls = await phase('backup', { endpoint: peer.https, tenantId: 'tls' });
    const incremental = await phase('incremental', { manifestKey: backup.manifestKey });
    const restore = await phase('restore', { manifestKey: incremental.manifestKey });
    const verify = await phase('verify', { manifestKey: incremental.manifestKey });
    const { blocksPut, blocksWrong, blocksToWrite, cpuSeconds } = await reportOf(peer, '');
    if (blocksWrong > 0 || blocksPut !== blocksToWrite)
      throw new Error(`Of ${blocksToWrite} blocks, ${blocksPut} were restored, ${blocksWrong} of them wrong.`);
    return {
      backup: measure(backup),
      backupTls: measure(backupTls),
      incremental: measure(incremental),
      restore: measure(restore),
      verify: measure(verify),
      storedBytes,
      puts: objects,
      peerCpuSeconds: cpuSeconds,
    };
  } finally {
    peer.child.kill();
  }
}
