import { deregisterImage } from '../../../aws/images.ts';
import { terminateInstance } from '../../../aws/launch.ts';
import { cleanUpStep } from '../../../aws/policies/restore-session.ts';
import { deleteSnapshot } from '../../../aws/snapshots.ts';
import { deleteVolume } from '../../../aws/volumes.ts';
import { isFault } from '../../../core/faults.ts';
import type { Made } from '../../db/schema/jobs.ts';
import { inCleanUpRole, stepOf } from '../worker.ts';
import type { RestoreContext } from './context.ts';

/** An image holds its snapshots, and an instance its volumes: what holds goes first. */
const ORDER: readonly Made['kind'][] = ['instance', 'image', 'volume', 'snapshot'];

/** What a restore made and its result does not need, in the order in which it can be removed. Pure. */
export function notNeeded(made: readonly Made[]): Made[] {
  return made.filter(({ result }) => !result).toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

/**
 * Removes what is not needed, with the clean-up role where the customer has given one.
 *
 * @returns ids of what is left: without that role all of it, else what it may not delete
 */
export async function tidyUp(context: RestoreContext, made = context.journal.all()): Promise<string[]> {
  const { worker, connection, row } = context;
  const { awsRegion } = row;
  const things = notNeeded(made);
  if (!connection.cleanUp) return things.map(({ id }) => id);
  if (things.length === 0) return [];
  const remove = {
    instance: terminateInstance,
    image: deregisterImage,
    volume: deleteVolume,
    snapshot: deleteSnapshot,
  };
  const left: string[] = [];
  const policy = cleanUpStep(stepOf(worker, connection, awsRegion));
  await inCleanUpRole(worker, connection, { awsRegion, jobId: row.id, policy }, async ({ ec2 }) => {
    for (const { kind, id } of things) {
      try {
        await remove[kind](ec2, awsRegion, id);
      } catch (error) {
        // A restore that is done does not fail because something of it could not be removed: it is named instead.
        if (!isFault(error) || error.retry === 'now') throw error;
        left.push(id);
      }
    }
  }).catch((error: unknown) => {
    if (!isFault(error, 'role_not_assumable')) throw error;
    left.push(...things.map(({ id }) => id));
  });
  return left;
}
