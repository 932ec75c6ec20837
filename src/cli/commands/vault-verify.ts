import { resolve } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { PointDamage } from '../../vault/damage.ts';
import { listPoints, listVolumes } from '../../vault/discover.ts';
import { runOfRootKey } from '../../vault/layout.ts';
import { EXIT } from '../exit-codes.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { formatBytes, table } from '../table.ts';
import { createMeter } from '../vault/meter.ts';
import { type VaultOptions, withVault } from '../vault/open.ts';
import { openVerifyState } from '../vault/verify-state.ts';
import { verifyOne, type VolumeReport } from '../vault/verify-volume.ts';
import { positiveInteger } from './list-output.ts';
import { addVaultOptions, objectId, threadsOption } from './vault-options.ts';

const MIB = 2 ** 20;

type VerifyOptions = VaultOptions & {
  volume?: string;
  point?: string;
  existence?: true;
  maxRate?: number;
  state?: string;
  threads?: number;
};

async function verifyAll(session: Session, options: VerifyOptions): Promise<VolumeReport[]> {
  const { volume, point, existence = false, maxRate, state, threads } = options;
  const { clock, signal } = session;
  const meter = createMeter({ ...session, json: session.json(), doing: 'read' });
  let done = 0;
  const how = {
    threads,
    onBytes(bytes: number) {
      done += bytes;
      meter.show({ done, total: null });
    },
    clock,
    signal,
    state: openVerifyState(state === undefined ? null : resolve(session.folder, state)),
    existenceOnly: existence,
    bytesPerSec: maxRate === undefined ? undefined : maxRate * MIB,
  };
  return withVault(session, options, async (vault) => {
    const reports: VolumeReport[] = [];
    try {
      for await (const volumeId of volume === undefined ? listVolumes(vault.store) : [volume]) {
        const runs = point === undefined ? await listPoints(vault.store, volumeId) : [point];
        if (runs.length > 0 || volume !== undefined) reports.push(await verifyOne(vault, { volumeId, runs }, how));
        if (signal.aborted) break;
      }
      return reports;
    } finally {
      meter.end();
    }
  });
}

function pointText(volumeId: string, { manifestKey, blocks, firstBlock }: PointDamage): string {
  const run = runOfRootKey(volumeId, manifestKey);
  if (blocks === null) return `${run} (lost)`;
  return blocks === 0 ? `${run} (whole)` : `${run} (${blocks} blocks from ${firstBlock})`;
}

function linesOf(reports: readonly VolumeReport[]): string[] {
  const damage = reports.flatMap((report) => report.damage);
  const rows = table(
    [
      { title: 'VOLUME', text: (row) => row.volumeId },
      { title: 'POINTS', text: (row) => row.points },
      { title: 'OBJECTS', text: (row) => row.objects },
      { title: 'BLOCKS', text: (row) => row.blocks },
      { title: 'READ', text: (row) => formatBytes(row.bytes) },
      { title: 'EVERY BYTE', text: (row) => (row.complete ? 'yes' : 'no') },
      { title: 'DAMAGED', text: (row) => row.damage.length },
    ],
    reports,
  );
  if (damage.length === 0) return rows;
  const found = table(
    [
      { title: 'DAMAGE', text: (one) => one.class },
      { title: 'OBJECT', text: (one) => one.object },
      { title: 'POINTS', text: (one) => one.points.map((point) => pointText(one.volumeId, point)).join(', ') },
    ],
    damage,
  );
  return [...rows, '', ...found];
}

async function verify(session: Session, options: VerifyOptions): Promise<void> {
  if (options.point !== undefined && options.volume === undefined)
    throw usageError('Of which volume is the point?', 'Name it with --volume.');
  const volumes = await verifyAll(session, options);
  session.show({ volumes }, () => linesOf(volumes));
  if (volumes.some(({ damage }) => damage.length > 0)) session.setExitCode(EXIT.jobFailed);
  if (!session.signal.aborted) return;
  session.setExitCode(EXIT.interrupted);
  session.hint(options.state === undefined ? 'With --state it could go on here.' : 'Run it again to go on here.');
}

export function addVaultVerify(vault: CommandUnknownOpts, session: Session): void {
  addVaultOptions(vault.command('verify'))
    .description('Prove that every point can be restored: all is there, and every byte is sound. Repairs nothing.')
    .option('--volume <id>', 'only this volume', objectId)
    .option('--point <id>', 'only what this point needs', objectId)
    .option('--existence', 'only look whether everything is there; no pack is read')
    .option('--max-rate <n>', 'read at most so many MiB a second', positiveInteger)
    .addOption(threadsOption())
    .option('--state <file>', 'keep there how far it came, and go on from it')
    .action((options) => verify(session, options as VerifyOptions));
}
