import type { Tx } from './db/client.ts';

/** Work for the worker tier. The API tier only ever enqueues; everything that touches AWS is one of these. */
export type CellJob =
  | { kind: 'verify'; tenantId: string; connectionId: string }
  | { kind: 'discover'; tenantId: string; connectionId: string }
  | { kind: 'backup'; tenantId: string; jobId: string }
  | { kind: 'restore'; tenantId: string; jobId: string };

/**
 * Puts a job on the queue inside the caller's transaction: it is there exactly when the rows it is about are.
 * A second `verify` or `discover` of a connection that is still waiting is folded into the first.
 */
export type Enqueue = (tx: Tx, job: CellJob, options?: { startAfter?: Date }) => Promise<void>;
