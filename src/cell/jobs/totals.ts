import type { Progress } from '../../vault/ports.ts';
import type { JobProgress } from '../db/schema/jobs.ts';

/** Progress of all volumes of a job as one. The total is known once every volume's listing is complete. */
export function createTotals(step: string, report: (progress: JobProgress) => void) {
  const volumes = new Map<string, Progress>();
  return (volumeId: string, progress: Progress): void => {
    volumes.set(volumeId, progress);
    const all = [...volumes.values()];
    const sum = (pick: (one: Progress) => number) => all.reduce((total, one) => total + pick(one), 0);
    const blocksTotal = all.some((one) => one.blocksTotal === null) ? null : sum((one) => one.blocksTotal ?? 0);
    const blocksDone = sum((one) => one.blocksDone);
    const percent =
      blocksTotal === null ? null : blocksTotal === 0 ? 100 : Math.floor((100 * blocksDone) / blocksTotal);
    report({ blocksDone, blocksTotal, bytesStored: sum((one) => one.bytesStored), percent, step });
  };
}
