import type { RestoreCost } from '../../db/schema/jobs.ts';

/** Prices of us-east-1, in US dollars, as published in 2026; other regions differ by a few per cent. */
const PUT_PER_BLOCK = 0.006 / 1_000;
const SNAPSHOT_GIB_MONTH = 0.05;
const VOLUME_GIB_MONTH: Record<string, number> = {
  gp3: 0.08,
  gp2: 0.1,
  io2: 0.125,
  io1: 0.125,
  st1: 0.045,
  sc1: 0.015,
};
const BLOCKS_PER_GIB = 2_048;

export type Priced = {
  type: 'snapshot' | 'volume' | 'instance';
  volumes: readonly { blocks: number; sizeGiB: number; volumeType: string | null }[];
};

const cents = (dollars: number) => Math.ceil(dollars * 100) / 100;

/** What AWS will ask for a restore: writing its blocks once, and keeping what it makes. Instances are not counted. Pure. */
export function costOf({ type, volumes }: Priced): RestoreCost {
  const blocks = volumes.reduce((sum, volume) => sum + volume.blocks, 0);
  const monthly = volumes.reduce((sum, { sizeGiB, volumeType, blocks: own }) => {
    if (type === 'snapshot') return sum + (own / BLOCKS_PER_GIB) * SNAPSHOT_GIB_MONTH;
    return sum + sizeGiB * (VOLUME_GIB_MONTH[volumeType ?? 'gp3'] ?? 0.05);
  }, 0);
  const what =
    type === 'snapshot' ? 'the snapshots' : type === 'volume' ? 'the volumes' : 'the volumes, not the instance';
  return {
    currency: 'USD',
    once: cents(blocks * PUT_PER_BLOCK),
    perMonth: cents(monthly),
    basis: `list prices of us-east-1: ${blocks} blocks written once; ${what} kept for a month, without extra IOPS`,
  };
}
