import type { Tx } from '../../db/client.ts';
import type { Made } from '../../db/schema/jobs.ts';
import type { RestoreJobRow } from '../../services/job-views.ts';
import { type Claim, withClaim, writeJob } from '../claim.ts';
import type { Worker } from '../worker.ts';

/**
 * What a restore has made in the account, written down as soon as AWS has named it. A job that is tried again, here or by
 * another worker, goes on from it; whatever is in it and not in the result is left over. Every step's own call is
 * idempotent, so that a crash between the call and the note makes nothing twice.
 */
export function openJournal(worker: Worker, claim: Claim, row: RestoreJobRow) {
  let made: readonly Made[] = row.made;
  let writing: Promise<void> = Promise.resolve();

  /** One note after the other: volumes are restored at the same time. */
  function write(change: (before: readonly Made[]) => readonly Made[]): Promise<void> {
    writing = writing.then(async () => {
      const after = change(made);
      await withClaim(worker.db, claim, (tx) => writeJob(tx, claim, { made: [...after] }, worker.clock.now()));
      made = after;
    });
    return writing;
  }

  const find = (step: string) => made.find((one) => one.step === step);

  return {
    all: (): readonly Made[] => made,
    find,
    /** Does a step that makes something, unless it was done before. */
    async once(step: string, kind: Made['kind'], make: () => Promise<string>): Promise<Made> {
      const known = find(step);
      if (known) return known;
      const one: Made = { step, kind, id: await make(), done: false, result: false };
      await write((before) => [...before, one]);
      return one;
    },
    /** Notes several things at once, if `allowed` says so in the same transaction. Returns whether it did. */
    async noteIf(things: readonly Made[], allowed: (tx: Tx) => Promise<boolean>): Promise<boolean> {
      await writing;
      const now = worker.clock.now();
      const after = [...made.filter(({ step }) => !things.some((one) => one.step === step)), ...things];
      const noted = await withClaim(worker.db, claim, async (tx) => {
        if (!(await allowed(tx))) return false;
        await writeJob(tx, claim, { made: after }, now);
        return true;
      });
      if (noted) made = after;
      return noted;
    },
    /** Notes how a step went on. */
    mark: (step: string, change: Partial<Omit<Made, 'step' | 'kind' | 'id'>>): Promise<void> =>
      write((before) => before.map((one) => (one.step === step ? { ...one, ...change } : one))),
  };
}

export type Journal = ReturnType<typeof openJournal>;
