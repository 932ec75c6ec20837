import { isId, volumePrefix } from '../layout.ts';

/** Kinds of objects that manifests refer to by attempt and number. */
export type MarkedKind = 'packs' | 'index' | 'keys';

/**
 * An object of a volume by its name. `number` is the ordinal of a pack or bundle; of a key 0 for `index`, else one more than that
 * of its pack key. `digest` is empty for a key.
 */
export type MarkedName = { kind: MarkedKind; runId: string; attempt: string; number: number; digest: string };
export type ObjectName = MarkedName | { kind: 'roots'; runId: string } | { kind: 'checkpoints'; runId: string };

const ATTEMPT = /^[0-9a-f]{32}$/;
const NUMBERED = /^([0-9]{8})-([0-9a-f]{64})$/;
const KEY = /^(?:index|pack-([0-9]{6}))$/;

/** The number of a data key among those of its attempt. */
export const numberOfKey = (key: string): number => {
  const pack = KEY.exec(key)?.[1];
  return pack === undefined ? 0 : Number(pack) + 1;
};

/** What an object of this volume is; null for a name that is not of the format: such an object is not ours to delete. */
export function objectNameOf(volumeId: string, key: string): ObjectName | null {
  const [kind, runId = '', attempt = '', last = '', ...more] = key.slice(volumePrefix(volumeId).length).split('/');
  if (!key.startsWith(volumePrefix(volumeId)) || !isId(runId)) return null;
  if (kind === 'checkpoints') return { kind, runId };
  if (kind === 'roots') return attempt === '' ? { kind, runId } : null;
  if (!ATTEMPT.test(attempt) || more.length > 0) return null;
  if (kind === 'keys') return KEY.test(last) ? { kind, runId, attempt, number: numberOfKey(last), digest: '' } : null;
  if (kind !== 'packs' && kind !== 'index') return null;
  const [, ordinal, digest] = NUMBERED.exec(last) ?? [];
  if (ordinal === undefined || digest === undefined) return null;
  return { kind, runId, attempt, number: Number(ordinal), digest };
}
