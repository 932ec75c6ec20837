import { backupVolume } from '../../src/vault/backup.ts';
import { createMemoryKeys } from '../../src/vault/memory.ts';
import { restoreVolume } from '../../src/vault/restore.ts';
import { verifyVolume } from '../../src/vault/verify.ts';
import { openFiles } from './files.ts';
import { openThreads } from './lanes.ts';
import type { Order, Outcome, Step } from './steps.ts';
import { changedOf, discard, openImage, VOLUMES } from './volumes.ts';

/** One step with one volume: `step.ts <order as JSON>`. Prints its outcome as one line of JSON. */
const order: Order = JSON.parse(process.argv[2] ?? '{}');
const volume = VOLUMES[order.volume];
const scope = { cell: 'eu', tenantId: 'ten_eu_memory', volumeId: `vol-${order.volume}` };
const keys = createMemoryKeys(new Uint8Array(32).fill(1));
const deps = { store: openFiles(order.dir), keys, ...openThreads(order) };
const root = (runId: string) => `v1/${scope.volumeId}/roots/${runId}`;
const base = { manifestKey: root('run-1'), snapshotId: 'snap-1' };

const WORK: Record<Step, () => Promise<number>> = {
  async backup() {
    const input = { ...scope, runId: 'run-1', snapshotId: 'snap-1', source: openImage(volume, 0) };
    return (await backupVolume(deps, input)).blocksRead;
  },
  async incremental() {
    const input = { ...scope, runId: 'run-2', snapshotId: 'snap-2', source: openImage(volume, 1), base };
    return (await backupVolume(deps, input)).blocksRead;
  },
  async restore() {
    const sink = { ...discard, blockBytes: volume.blockBytes };
    return (await restoreVolume(deps, { ...scope, manifestKey: root('run-2') }, sink)).blocksWritten;
  },
  async verify() {
    const report = await verifyVolume(deps, { ...scope, manifestKeys: [root('run-1'), root('run-2')] });
    if (report.damage.length > 0) throw new Error(`${report.damage.length} objects are damaged.`);
    return report.blocks;
  },
};

/** A step that did less than it should would take less memory. */
const expected: Record<Step, number> = {
  backup: volume.written,
  incremental: changedOf(volume),
  restore: volume.written,
  verify: volume.written + changedOf(volume),
};
const blocks = await WORK[order.step]();
if (blocks !== expected[order.step]) throw new Error(`${blocks} blocks, not ${expected[order.step]}`);
const outcome: Outcome = { peakRssMiB: Math.round(process.resourceUsage().maxRSS / 1_024), blocks };
process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exit(); // Ports of lanes would keep it.
