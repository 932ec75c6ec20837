import { regionOf } from '../../regions/index.ts';
import type { CallCount } from '../stranger/sandbox-control.ts';

/** The cell whose principal made a call: by its tiers' roles, and by the customers' roles that it assumed. */
function cellOf(call: CallCount, roleCells: ReadonlyMap<string, string>): string | null {
  const role = /:(?:assumed-)?role\/([^/]+)/.exec(call.callerArn)?.[1] ?? '';
  return /^domicile-cell-([a-z0-9]+)-/.exec(role)?.[1] ?? roleCells.get(role) ?? null;
}

/**
 * Calls that a cell's principals made outside the cell's jurisdiction, as the sandbox saw them: none, or the demo fails.
 *
 * @param roleCells which cell assumes each customer role
 */
export function callsOutside(calls: readonly CallCount[], roleCells: ReadonlyMap<string, string>): string[] {
  return calls.flatMap((call) => {
    const cell = cellOf(call, roleCells);
    if (cell === null || regionOf(cell)?.awsRegions.includes(call.awsRegion)) return [];
    return [`${cell}: ${call.count} × ${call.service}:${call.operation} in ${call.awsRegion}`];
  });
}
