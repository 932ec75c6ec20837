import { execFile } from 'node:child_process';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { BLOCK_BYTES, MIB, writeImage } from './image.ts';
import { measureEngine } from './phases.ts';
import { installPeers, measureBorg, measureRestic, type PeerImages } from './peers.ts';
import { type Result, ratiosOf } from './ratios.ts';

const run = promisify(execFile);

async function measureFloor(image: string, blocks: number): Promise<Result['floor']> {
  const script = new URL('floor.ts', import.meta.url).pathname;
  const args = [script, image, String(blocks), String(availableParallelism())];
  const { stdout } = await run(process.execPath, args);
  const { seconds, cpuSeconds }: { seconds: number; cpuSeconds: number } = JSON.parse(stdout);
  const volumeBytes = blocks * BLOCK_BYTES;
  return { mbPerSec: volumeBytes / 1e6 / seconds, cpuSecPerGiB: cpuSeconds / (volumeBytes / 2 ** 30) };
}

async function measureAll(dir: string, blocks: number): Promise<Result> {
  const live = join(dir, 'disk.img');
  const spare = join(dir, 'other.img');
  await writeImage(live, blocks, 0);
  await writeImage(spare, blocks, 1);
  let standing: 0 | 1 = 0;
  const swap = async (generation: 0 | 1) => {
    if (generation === standing) return;
    await rename(live, `${live}.old`);
    await rename(spare, live);
    await rename(`${live}.old`, spare);
    standing = generation;
  };
  const images: PeerImages = { dir, live, volumeBytes: blocks * BLOCK_BYTES, swap };
  const floor = await measureFloor(live, blocks);
  const { peerCpuSeconds, ...engine } = await measureEngine(dir, [live, spare], blocks);
  process.stderr.write(`The peer used ${peerCpuSeconds.toFixed(1)} CPU s, which are not counted.\n`);
  const peers = { restic: await measureRestic(images), borg: await measureBorg(images) };
  return { ...engine, floor, peers };
}

const shown = (value: number | null) => (value === null ? 'not measured' : value.toFixed(2));

function report({ floor, peers, ...result }: Result): string {
  const lines = [`floor: ${floor.mbPerSec.toFixed(0)} MB/s, ${floor.cpuSecPerGiB.toFixed(2)} CPU s/GiB`];
  for (const name of ['backup', 'backupTls', 'incremental', 'restore', 'verify'] as const) {
    const one = result[name];
    const rest = one && `${one.cpuSecPerGiB.toFixed(2)} CPU s/GiB, ${one.peakRssMiB.toFixed(0)} MiB at most`;
    lines.push(`${name}: ${one ? `${one.mbPerSec.toFixed(0)} MB/s, ${rest}` : 'not measured'}`);
  }
  for (const [name, peer] of Object.entries(peers)) {
    const speeds = peer && [peer.backup, peer.incremental, peer.restore].map((speed) => speed.toFixed(0)).join(' / ');
    const stored = peer && `${(peer.storedBytes / MIB).toFixed(0)} MiB stored`;
    lines.push(`${name}: ${peer ? `${peer.version}, ${speeds} MB/s, ${stored}` : 'not installed'}`);
  }
  for (const { name, value, goal, met } of ratiosOf({ floor, peers, ...result })) {
    const verdict = met === null ? '' : met ? 'met' : 'not met';
    lines.push(`${name.padEnd(42)}${shown(value).padStart(14)}   goal ${goal.padEnd(7)}${verdict}`);
  }
  return `${lines.join('\n')}\n`;
}

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '4096' },
    json: { type: 'boolean', default: false },
    'install-peers': { type: 'boolean', default: false },
  },
});
if (values['install-peers']) await installPeers();
const dir = await mkdtemp(join(tmpdir(), 'domicile-bench-'));
try {
  const result = await measureAll(dir, Math.ceil((Number(values.mib) * MIB) / BLOCK_BYTES));
  if (!values.json) process.stdout.write(report(result));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  await rm(dir, { recursive: true });
}
