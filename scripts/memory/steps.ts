import type { VolumeName } from './volumes.ts';

/** What is done with a volume, in this order: each in a process of its own, on what the ones before have stored. */
export const STEPS = ['backup', 'incremental', 'restore', 'verify'] as const;
export type Step = (typeof STEPS)[number];

/** `lanes`: threads that copy blocks; 0 is one lane in the main thread. */
export type Order = { step: Step; volume: VolumeName; dir: string; lanes: number };
/** The most memory that the process ever had, and how many blocks it dealt with. */
export type Outcome = { peakRssMiB: number; blocks: number };
