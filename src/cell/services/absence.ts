import { Fault } from '../../core/faults.ts';
import { type IdKind, isId } from '../../core/ids.ts';

/**
 * The answer for whatever is not there for this tenant: missing, malformed and another tenant's id read the same, to
 * the byte. The message names neither the id nor anything else that could differ.
 */
function notFound(what: string): Fault {
  return new Fault('not_found', `There is no such ${what}.`);
}

/** A row that must be there. */
export function found<T>(row: T | undefined, what: string): T {
  if (row === undefined) throw notFound(what);
  return row;
}

/** Checks the form of an id before it reaches the database, which cannot hold every text. */
export function wellFormed(kind: IdKind, id: string, what: string): string {
  if (!isId(kind, id)) throw notFound(what);
  return id;
}
