import type { Clock } from '../../core/clock.ts';
import { Fault, isFault } from '../../core/faults.ts';
import { timeOfId } from '../../core/ids.ts';
import { runOfObject, type VolumeScope } from '../layout.ts';
import { createManifestReader, type Manifest, type VaultDeps } from '../manifest.ts';
import { mapInOrder } from '../pipeline.ts';
import type { LockExtender, LockReader } from '../ports.ts';
import { lockDemanded, lockHorizon, lockOfNew } from './generations.ts';
import { createLockWalk } from './needs.ts';
import { type LockExtension, type LockNeed, planExtensions } from './plan.ts';

const LOOKS_AT_ONCE = 32;
const CALLS_AT_ONCE = 16;
/** Objects of one part of a plan: what is in memory at a time. */
const PART_OBJECTS = 1_024;
/** Clocks of those who name runs and those who put objects may differ by so much. */
const CLOCK_SKEW_MS = 86_400_000;

/** A point that is to be locked until then. `heldUntil`: all it refers to is known to be locked at least so long. */
export type LockedPoint = { manifestKey: string; lockUntil: Date };
export type HeldPoint = { manifestKey: string; heldUntil: Date };

export type LockInput = VolumeScope & {
  points: readonly LockedPoint[];
  /** A point that what is new is compared with, so that only what is new is looked at. */
  held?: HeldPoint | null;
  /** The run whose point is new: what it put itself it has locked. */
  newRunId?: string;
};

/** A part of what is to be done for one point. Plain data: executing it takes no further decision. */
export type LockPart = {
  manifestKey: string;
  looked: number;
  extensions: readonly LockExtension[];
  /** Objects that are referred to and are not there. */
  missing: readonly string[];
  /** When these are done, everything shared so far is locked at least until then. */
  heldUntil: Date;
};

export type LockPlanner = { vault: VaultDeps; locks: LockReader; clock: Clock };

type Looked = LockNeed & { end: Date | null; missing: boolean };

/** Asks when locks end. What the new run has put is locked as of its beginning, or longer. */
function createLook({ locks, clock }: LockPlanner, { volumeId, newRunId }: LockInput) {
  const began = newRunId === undefined ? null : timeOfId(newRunId);
  const own = began && new Date(began.getTime() - CLOCK_SKEW_MS);
  return async (need: LockNeed): Promise<Looked> => {
    const { key, what, lockUntil } = need;
    const known = own && runOfObject(volumeId, key) === newRunId ? lockOfNew(what, lockUntil, own) : undefined;
    if (known && known >= lockDemanded(lockUntil, clock.now())) return { ...need, end: known, missing: false };
    try {
      return { ...need, end: await locks.lockedUntil(key), missing: false };
    } catch (error) {
      if (isFault(error, 'object_missing')) return { ...need, end: null, missing: true };
      throw error;
    }
  };
}

function partOf(manifestKey: string, looked: readonly Looked[], before: Date, now: Date): LockPart {
  const there = looked.filter(({ missing }) => !missing);
  const extensions = planExtensions(there, new Map(there.map(({ key, end }) => [key, end])), now);
  const extended = new Map(extensions.map(({ key, until }) => [key, until]));
  const ends = there
    .filter(({ what }) => what === 'shared')
    .map(({ key, end }) => extended.get(key)?.getTime() ?? end?.getTime() ?? 0);
  return {
    manifestKey,
    looked: looked.length,
    extensions,
    missing: looked.filter(({ missing }) => missing).map(({ key }) => key),
    heldUntil: new Date(ends.reduce((soonest, end) => Math.min(soonest, end), before.getTime())),
  };
}

/**
 * Works out which locks of a volume are to be made longer now: reads manifests and looks at locks, and changes nothing. The point
 * that is locked longest comes first. Memory is bounded by pages, not by the number of objects.
 *
 * @throws Fault of the reason when a manifest cannot be read in full: what it needs is then unknown. What came before holds.
 */
export async function* planLocks(
  planner: LockPlanner,
  input: LockInput,
  options: { signal?: AbortSignal | undefined } = {},
): AsyncGenerator<LockPart> {
  const { clock } = planner;
  const reader = createManifestReader(planner.vault, input);
  const walk = createLockWalk(reader, input, options.signal);
  const look = createLook(planner, input);
  // One that cannot be read saves nothing, and is no reason to stop.
  const base: Manifest | null = input.held ? await reader.root(input.held.manifestKey).catch(() => null) : null;
  let heldUntil = (base && input.held?.heldUntil) ?? lockHorizon(clock.now());
  const points = input.points.toSorted((a, b) => b.lockUntil.getTime() - a.lockUntil.getTime());
  for (const { manifestKey, lockUntil } of points) {
    const manifest = await reader.root(manifestKey);
    if (base) await walk.leaveOut(base, manifest);
    let looked: Looked[] = [];
    const part = () => {
      const made = partOf(manifestKey, looked, heldUntil, clock.now());
      looked = [];
      heldUntil = made.heldUntil;
      return made;
    };
    for await (const one of mapInOrder(walk.needs(manifest, lockUntil), LOOKS_AT_ONCE, look)) {
      looked.push(one);
      if (looked.length === PART_OBJECTS) yield part();
    }
    yield part();
  }
}

/** Does what a part says. @throws Fault of the store */
export async function executeLockPart({ extensions }: LockPart, extender: LockExtender): Promise<void> {
  const extend = ({ key, until }: LockExtension) => extender.extend(key, until);
  for await (const _ of mapInOrder(extensions, CALLS_AT_ONCE, extend));
}

/** What came of a run over a volume's locks. `heldUntil` by the names of the manifests of its points. */
export type LockReport = { looked: number; extended: number; missing: string[]; heldUntil: ReadonlyMap<string, Date> };

/** Plans and executes, part by part. Throws as both do. */
export async function extendLocks(
  deps: LockPlanner & { extender: LockExtender },
  input: LockInput,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<LockReport> {
  const report = { looked: 0, extended: 0, missing: [] as string[], heldUntil: new Map<string, Date>() };
  for await (const part of planLocks(deps, input, options)) {
    await executeLockPart(part, deps.extender);
    report.looked += part.looked;
    report.extended += part.extensions.length;
    report.missing.push(...part.missing);
    report.heldUntil.set(part.manifestKey, part.heldUntil);
  }
  return report;
}

/**
 * Locks all that a new point refers to, before it is acknowledged. Its own objects are locked already; those of earlier runs may
 * unlock sooner. Where the point that it builds on is held long enough, only what that does not refer to is looked at.
 *
 * @returns until when all of it is held
 * @throws Fault `object_missing`, and as `extendLocks`
 */
export async function lockNewPoint(
  deps: LockPlanner & { extender: LockExtender },
  input: VolumeScope & { runId: string; point: LockedPoint; base: HeldPoint | null },
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Date> {
  const { point, base, runId, ...scope } = input;
  const demanded = lockDemanded(point.lockUntil, deps.clock.now());
  const held = base && base.heldUntil >= demanded ? base : null;
  const report = await extendLocks(deps, { ...scope, points: [point], held, newRunId: runId }, options);
  const [missing] = report.missing;
  if (missing !== undefined)
    throw new Fault('object_missing', 'A stored object that a new point refers to is missing: it cannot be locked.', {
      facts: { key: missing },
    });
  return report.heldUntil.get(point.manifestKey) ?? demanded;
}
