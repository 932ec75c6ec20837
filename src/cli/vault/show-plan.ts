import { blocksOf, readManifest } from '../../vault/manifest.ts';
import { type PointStat, statPoint } from '../../vault/point-stat.ts';
import type { RestoreInput } from '../../vault/restore.ts';
import type { PlannedRead } from '../../vault/restore-plan.ts';
import type { Session } from '../session.ts';
import type { OpenVault } from './open.ts';

type PackReads = { object: string; blocks: number; ranges: [start: number, length: number][] };

/** Puts reads of the same pack together as they come, and hands each pack on once another one is read. */
function groupReads(put: (reads: PackReads) => void) {
  let open: PackReads | null = null;
  return {
    add({ object, start, length, blocks }: PlannedRead): void {
      if (open?.object !== object) {
        if (open) put(open);
        open = { object, blocks: 0, ranges: [] };
      }
      open.blocks += blocks;
      open.ranges.push([start, length]);
    },
    end: () => void (open && put(open)),
  };
}

/** The members of an object as lines of JSON, without its braces. */
const members = (value: object) =>
  Object.entries(value).map(([name, member]) => `  ${JSON.stringify(name)}: ${JSON.stringify(member)}`);

/**
 * Prints what a restore reads as one JSON document: packs and ranges in its order, then keys and totals. Line by line, as it is
 * learnt: the plan of a large volume is longer than memory.
 */
export async function showPlan(session: Session, vault: OpenVault, input: RestoreInput): Promise<void> {
  const out = (line: string) => session.terminal.out(line);
  const manifest = await readManifest(vault, input);
  const { runId, attempt, volumeBytes, blockBytes } = manifest;
  const { volumeId } = input;
  out('{');
  out(
    `${members({ volumeId, runId, attempt, volumeBytes, blockBytes, storedBlocks: blocksOf(manifest) }).join(',\n')},`,
  );
  out('  "packs": [');
  let line: string | null = null;
  const packs = groupReads((reads) => {
    if (line !== null) out(`${line},`);
    line = `    ${JSON.stringify(reads)}`;
  });
  const stat: PointStat = await statPoint(vault, input, { signal: session.signal, onRead: (read) => packs.add(read) });
  packs.end();
  if (line !== null) out(line);
  out('  ],');
  out(members(stat).join(',\n'));
  out('}');
}
