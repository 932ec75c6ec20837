/** An object that nothing needs. */
export type Garbage = { key: string; sizeBytes: number };

/**
 * Objects that were found to be garbage, as plain data for the caller to keep. From when writers that begin can see it, `fence` says
 * since when (RFC 3339) and which runs were open then: those may know the objects, and nobody else ever will. Null until then.
 */
export type Condemnation = {
  objects: readonly Garbage[];
  fence: { since: string; openRunIds: readonly string[] } | null;
};

/**
 * How long an object is condemned at least. It gives people time to notice, no more: an object is safe to delete because
 * every run that could know it has ended and no root needs it, never because time has passed. A job that seems longer than a month had
 * its clock moved.
 */
export const CONDEMNED = { atLeastMs: 72 * 3_600_000, longestJobs: 2, longestJobMaxMs: 30 * 86_400_000 } as const;

/** The order of deletion: what refers to others goes first, so that a crash leaves garbage and no broken point. */
const ORDER = ['roots', 'checkpoints', 'index', 'packs', 'keys'];
const orderOf = (key: string) => ORDER.indexOf(key.split('/')[2] ?? '');

export const inOrderOfDeletion = (objects: readonly Garbage[]): Garbage[] =>
  objects.toSorted((a, b) => orderOf(a.key) - orderOf(b.key));

/** Can this object be locked? Keys and checkpoints never are. */
export const isLockable = (key: string): boolean => ['roots', 'index', 'packs'].includes(key.split('/')[2] ?? '');

/** Is this the name of a pack? */
export const isPack = (key: string): boolean => key.split('/')[2] === 'packs';
