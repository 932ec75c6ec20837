import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock.ts';
import type { NonceMonitor } from '../crypto/nonce-monitor.ts';
import { type OpenLanes, runAttempt, type Tuning } from './backup-attempt.ts';
import { type BackupInput, type BackupResult, committedRun, planBackup, planFull } from './backup-plan.ts';
import { isUnreadable } from './checkpoint.ts';
import { createManifestReader, type ManifestReader } from './manifest.ts';
import { assertNotAborted, type RunOptions } from './pipeline.ts';
import type { BlobStore, KeyRecipient, KeyService } from './ports.ts';

export type BackupDeps = {
  store: BlobStore;
  keys: KeyService;
  /** Others for whom each data key is wrapped too: the recovery region, the tenant's own recovery key. */
  recipients?: readonly KeyRecipient[];
  clock?: Clock;
  /** Source of salts and attempt ids; the system's own unless a test pins it. */
  random?: (bytes: number) => Uint8Array;
  monitor?: NonceMonitor;
  /** Open every sealed block again and compare it, instead of one in 32. */
  checkAll?: boolean;
  tuning?: Tuning;
  /** Where blocks are copied; in this thread when it is not given. */
  openLanes?: OpenLanes;
};

/** Remembers whether a page of an earlier manifest could not be read: then a full backup goes around it. */
function watchPages(reader: ManifestReader): { reader: ManifestReader; isLost: () => boolean } {
  let lost = false;
  const watch = async <T>(reading: Promise<T>): Promise<T> => {
    try {
      return await reading;
    } catch (error) {
      lost ||= isUnreadable(error);
      throw error;
    }
  };
  return {
    reader: {
      ...reader,
      node: (ref) => watch(reader.node(ref)),
      leaf: (number, ref) => watch(reader.leaf(number, ref)),
    },
    isLost: () => lost,
  };
}

/**
 * Backs up one image of a volume. Everything is stored before the root manifest, whose creation commits the point: until
 * then nothing of this run can be seen, and after it the point is complete. Trying again with the same run id is safe at any
 * time: each try has keys and object names of its own, and goes on from the last checkpoint of those before it.
 *
 * @throws Fault `aborted` (or the signal's own reason), `object_exists` (the run id was used for another image),
 *   `store_unavailable`, `key_unavailable`, and what the source throws
 */
export async function backupVolume(
  deps: BackupDeps,
  input: BackupInput,
  options: RunOptions = {},
): Promise<BackupResult> {
  assertNotAborted(options.signal);
  const reader = createManifestReader(deps, input);
  const committed = await committedRun(reader, input);
  if (committed) return committed;
  const watched = watchPages(reader);
  const ready = { ...deps, clock: deps.clock ?? systemClock, random: deps.random ?? randomBytes };
  const plan = await planBackup(deps.store, watched.reader, input);
  try {
    return await runAttempt(ready, input, { ...plan, reader: watched.reader }, options);
  } catch (error) {
    if (!watched.isLost()) throw error;
    const full = planFull(input, input.base ? 'base_unreadable' : null);
    return runAttempt(ready, input, { ...full, reader }, options);
  }
}
