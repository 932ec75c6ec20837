import { ca } from './ca.ts';
import { eu } from './eu.ts';
import type { Region } from './types.ts';
import { us } from './us.ts';

/** Every region we serve. Adding a file and a line here adds a region. */
export const REGIONS: readonly Region[] = [us, eu, ca];

/** The region a cell code names, or null: an unknown code is an ordinary answer, not an error. */
export function regionOf(cell: string): Region | null {
  return REGIONS.find((region) => region.cell === cell) ?? null;
}
