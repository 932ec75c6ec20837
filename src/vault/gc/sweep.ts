import { Fault } from '../../core/faults.ts';
import { isLocked } from '../locks/generations.ts';
import { CONDEMNED, type Condemnation, type Garbage, inOrderOfDeletion, isPack } from './condemned.ts';
import { objectNameOf } from './object-name.ts';

/** Why a condemned object stays for now. */
export type Waiting = Garbage & {
  /** `unfenced`: a writer may begin without seeing it. `budget`: enough packs were deleted for now. */
  why: 'unfenced' | 'open_run' | 'too_young' | 'locked' | 'budget';
  /** When it may be looked at again (RFC 3339), if that is known. */
  until: string | null;
};

/** What becomes of condemned objects. Plain data: executing it takes no further decision. */
export type Sweep = {
  delete: readonly Garbage[];
  /** Needed again: a run that knew them has committed. */
  release: readonly Garbage[];
  wait: readonly Waiting[];
};

export type SweepInput = {
  volumeId: string;
  condemnations: readonly Condemnation[];
  /** What an earlier sweep has decided to delete, and may have deleted. */
  doomed: readonly Garbage[];
  /** By marks that were made after `openRunIds` was read. */
  needs: (key: string) => boolean;
  /** Runs that have not ended, whatever became of their attempts. */
  openRunIds: ReadonlySet<string>;
  now: Date;
  /** The longest that a job of the tenant has taken so far. */
  longestJobMs: number;
  /** Packs that may go now: the tenant's budget, less what went today. */
  packsAllowed: number;
  /** Objects that are locked, or were, each with the end of its lock. */
  lockedUntil: ReadonlyMap<string, Date>;
};

type Verdict = 'delete' | 'release' | Pick<Waiting, 'why' | 'until'>;

function verdictOf(input: SweepInput, { key }: Garbage, { fence }: Condemnation): Verdict {
  const { openRunIds, now, longestJobMs } = input;
  if (input.needs(key)) return 'release';
  if (!fence) return { why: 'unfenced', until: null };
  const runId = objectNameOf(input.volumeId, key)?.runId;
  if (fence.openRunIds.some((id) => openRunIds.has(id)) || (runId !== undefined && openRunIds.has(runId)))
    return { why: 'open_run', until: null };
  const ageMs = Math.max(
    CONDEMNED.atLeastMs,
    CONDEMNED.longestJobs * Math.min(longestJobMs, CONDEMNED.longestJobMaxMs),
  );
  const ripe = new Date(new Date(fence.since).getTime() + ageMs);
  if (now < ripe) return { why: 'too_young', until: ripe.toISOString() };
  const lockedUntil = input.lockedUntil.get(key) ?? null;
  return lockedUntil && isLocked(lockedUntil, now) ? { why: 'locked', until: lockedUntil.toISOString() } : 'delete';
}

/**
 * Decides about condemned objects. Pure.
 *
 * An object goes when *every* one of these holds: the marks do not need it; every run that was open when writers began to see its
 * condemnation has ended; it has been condemned for long enough by the clock; it is not locked; the budget allows it. Runs
 * that began later never build on it: their index leaves condemned packs out, and their base is among the kept roots. So once
 * the runs of the fence have ended, and their points are among the kept roots, no root can come to need it any more. The clock
 * only ever delays: one that jumps ahead meets the open runs, one that jumps back waits longer.
 *
 * A run that has lost its claim may still be at work somewhere. It can put its root, but not its point: that is a row written
 * under the claim. A later claim of the same run may take that root for its own, which is why the fence waits for the run, whatever
 * the number of its claims, and not for a claim.
 *
 * @throws Fault `conflict` when something that was decided on is needed after all: an alarm, for a person to look at
 */
export function planSweep(input: SweepInput): Sweep {
  const release: Garbage[] = [];
  const wait: Waiting[] = [];
  const ripe: Garbage[] = [];
  const wanted = input.doomed.find(({ key }) => input.needs(key));
  if (wanted)
    throw new Fault('conflict', 'A kept recovery point needs an object that was to be deleted: nothing is deleted.', {
      facts: { key: wanted.key },
    });
  for (const condemnation of input.condemnations) {
    for (const object of condemnation.objects) {
      const verdict = verdictOf(input, object, condemnation);
      if (verdict === 'release') release.push(object);
      else if (verdict === 'delete') ripe.push(object);
      else wait.push({ ...object, ...verdict });
    }
  }
  const goes: Garbage[] = [];
  let packs = 0;
  for (const object of inOrderOfDeletion(ripe)) {
    if (isPack(object.key)) packs += 1;
    if (isPack(object.key) && packs > input.packsAllowed) wait.push({ ...object, why: 'budget', until: null });
    else goes.push(object);
  }
  return { delete: inOrderOfDeletion([...input.doomed, ...goes]), release, wait };
}
