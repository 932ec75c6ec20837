import { Fault } from '../core/faults.ts';
import type { ObjectContext, ObjectType } from '../crypto/object-key.ts';

/** Whose data it is. Every object of a volume lies below `v1/<volumeId>/`, and names hold ids only. */
export type VolumeScope = { cell: string; tenantId: string; volumeId: string };

/** One attempt at a run: its own keys, its own objects. `attempt` is 16 bytes in hex that no other attempt has. */
export type AttemptRef = { runId: string; attempt: string };

/** An object named by its place in an attempt and the SHA-256 (hex) of its bytes. */
export type ObjectRef = AttemptRef & { ordinal: number; sha256: string };

const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;
const ROOT = 'v1';

/** Is this an id that may be part of an object's name? */
export const isId = (text: string): boolean => ID.test(text);

function id(text: string): string {
  if (!isId(text)) throw new Fault('internal', 'An id cannot be part of an object name.');
  return text;
}

/** Eight digits: at 16 MiB a pack, 1.5 PiB in one attempt. Beyond, names would no longer sort, nor keys have six digits. */
const ORDINAL_MAX = 99_999_999;

function counted(ordinal: number): number {
  if (Number.isInteger(ordinal) && ordinal >= 0 && ordinal <= ORDINAL_MAX) return ordinal;
  throw new Fault('internal', 'An attempt has more objects than the format can number.');
}

const numbered = ({ runId, attempt, ordinal, sha256 }: ObjectRef) =>
  `${id(runId)}/${attempt}/${String(counted(ordinal)).padStart(8, '0')}-${sha256}`;

/** Everything that is stored for a tenant begins with this. */
export const tenantPrefix = `${ROOT}/`;
/** Everything that is stored for a volume begins with this. */
export const volumePrefix = (volumeId: string) => `${tenantPrefix}${id(volumeId)}/`;
export const rootsPrefix = (volumeId: string) => `${volumePrefix(volumeId)}roots/`;
/** One root for each run, whatever the number of attempts: it is what commits the run. */
export const rootKey = (volumeId: string, runId: string) => `${rootsPrefix(volumeId)}${id(runId)}`;
/** Every checkpoint of a run begins with this; the farthest comes last. */
export const checkpointsPrefix = (volumeId: string, runId: string) =>
  `${volumePrefix(volumeId)}checkpoints/${id(runId)}/`;
/** `next` is the first block that is left to do. */
export const checkpointKey = (volumeId: string, { runId, attempt }: AttemptRef, next: number) =>
  `${checkpointsPrefix(volumeId, runId)}${String(next).padStart(10, '0')}-${attempt}`;
/** Every pack of one attempt begins with this. */
export const packsPrefix = (volumeId: string, { runId, attempt }: AttemptRef) =>
  `${volumePrefix(volumeId)}packs/${id(runId)}/${attempt}/`;
export const packKey = (volumeId: string, ref: ObjectRef) => `${volumePrefix(volumeId)}packs/${numbered(ref)}`;
export const bundleKey = (volumeId: string, ref: ObjectRef) => `${volumePrefix(volumeId)}index/${numbered(ref)}`;
/** Name of the object that holds a wrapped data key. `key` is `index`, or `pack-000000` and so on. */
export const keyObjectKey = (volumeId: string, { runId, attempt }: AttemptRef, key: string) =>
  `${volumePrefix(volumeId)}keys/${id(runId)}/${attempt}/${key}`;

/** Every key object of a volume begins with this. */
export const keysPrefix = (volumeId: string) => `${volumePrefix(volumeId)}keys/`;

/** The volume that an object's name speaks of, if it lies where key objects do; null for every other name. */
export function volumeOfKeyObject(objectKey: string): string | null {
  const [root, volumeId = '', kind, ...rest] = objectKey.split('/');
  return root === ROOT && isId(volumeId) && kind === 'keys' && rest.length > 0 ? volumeId : null;
}

const ATTEMPT = /^[0-9a-f]{32}$/;
const KEY_NAME = /^(?:index|pack-\d{6})$/;

/** Whose data key an object holds, by its name; null for a name that is none of a key object of this volume. */
export function keyOfObject(volumeId: string, objectKey: string): (AttemptRef & { key: string }) | null {
  const prefix = keysPrefix(volumeId);
  if (!objectKey.startsWith(prefix)) return null;
  const [runId = '', attempt = '', key = '', ...more] = objectKey.slice(prefix.length).split('/');
  const ours = isId(runId) && ATTEMPT.test(attempt) && KEY_NAME.test(key) && more.length === 0;
  return ours ? { runId, attempt, key } : null;
}

/** A pack above this is neither written nor read. */
export const PACK_BYTES_MAX = 256 * 2 ** 20;
/** Packs that are sealed under one data key. */
const PACKS_PER_KEY = 1_000;
/** The data key that a pack of this number is sealed under. */
export const packKeyName = (ordinal: number) =>
  `pack-${String(Math.floor(counted(ordinal) / PACKS_PER_KEY)).padStart(6, '0')}`;

/** The run that a root's name speaks of. Throws Fault `not_found` for a name that is not one of this volume's roots. */
export function runOfRootKey(volumeId: string, manifestKey: string): string {
  const prefix = rootsPrefix(volumeId);
  const runId = manifestKey.slice(prefix.length);
  if (!manifestKey.startsWith(prefix) || !isId(runId)) {
    throw new Fault('not_found', 'This is not the name of a manifest of this volume.');
  }
  return runId;
}

const KINDS = new Set(['roots', 'packs', 'index', 'keys', 'checkpoints']);

/** The run that wrote an object of this volume, by the object's name; null for a name that is not of this format. */
export function runOfObject(volumeId: string, key: string): string | null {
  const [kind, runId] = key.slice(volumePrefix(volumeId).length).split('/');
  return KINDS.has(kind ?? '') && runId !== undefined && isId(runId) ? runId : null;
}

/** What an object is, by its name: `roots`, `packs`, …; null for a name that is not of this format. */
export function kindOfObject(key: string): string | null {
  const [root, , kind = ''] = key.split('/');
  return root === ROOT && KINDS.has(kind) ? kind : null;
}

/** The context that an object of an attempt is sealed in. */
export const contextOf = (scope: VolumeScope, ref: AttemptRef, type: ObjectType, ordinal: number): ObjectContext => ({
  cell: scope.cell,
  tenant: scope.tenantId,
  volume: scope.volumeId,
  run: ref.runId,
  attempt: ref.attempt,
  type,
  ordinal,
});
