import type { Peer } from './peers.ts';

export type Measure = { mbPerSec: number; blocksPerSec: number; cpuSecPerGiB: number; peakRssMiB: number };

/** The last line of a run. Null is what was not measured. */
export type Result = {
  backup: Measure | null;
  backupTls: Measure | null;
  incremental: Measure | null;
  restore: Measure | null;
  verify: Measure | null;
  floor: { mbPerSec: number; cpuSecPerGiB: number };
  storedBytes: number | null;
  puts: number | null;
  peers: { restic: Peer | null; borg: Peer | null };
};

export type Ratio = { name: string; value: number | null; goal: string; met: boolean | null };

const divide = (a: number | null | undefined, b: number | null | undefined) => (a != null && b ? a / b : null);

function ratio(name: string, value: number | null, bound: '≤' | '≥', limit: number): Ratio {
  const met = value === null ? null : bound === '≤' ? value <= limit : value >= limit;
  return { name, value, goal: `${bound} ${limit}`, met };
}

/** The ratios that the engine is held to. One whose parts were not measured is null, and neither met nor missed. */
export function ratiosOf({ backup, backupTls, incremental, restore, floor, storedBytes, peers }: Result): Ratio[] {
  const { restic, borg } = peers;
  const better = restic || borg ? Math.max(restic?.incremental ?? 0, borg?.incremental ?? 0) : null;
  return [
    ratio('backup CPU / floor CPU, HTTP', divide(backup?.cpuSecPerGiB, floor.cpuSecPerGiB), '≤', 1.6),
    ratio('backup CPU / floor CPU, TLS', divide(backupTls?.cpuSecPerGiB, floor.cpuSecPerGiB), '≤', 2.1),
    ratio('backup speed / restic', divide(backup?.mbPerSec, restic?.backup), '≥', 1.5),
    ratio('backup speed / borg', divide(backup?.mbPerSec, borg?.backup), '≥', 1),
    ratio('2 % incremental speed / the better peer', divide(incremental?.mbPerSec, better), '≥', 10),
    ratio('restore speed / restic', divide(restore?.mbPerSec, restic?.restore), '≥', 1.2),
    ratio('stored bytes / restic', divide(storedBytes, restic?.storedBytes), '≤', 1.1),
  ];
}
