import { readFileSync } from 'node:fs';
import type { Damage } from '../../vault/damage.ts';
import { NEW_CURSOR, type VerifyCursor } from '../../vault/verify-cursor.ts';
import { usageError } from '../failure.ts';
import { fileCodeOf, replaceFile } from './files.ts';

const FORMAT = 'domicile-verify/v1';

/** Where the reading of one volume stands, and what this round has found so far. `bytesLeft` 0: the next begins a round. */
export type VolumeState = { cursor: VerifyCursor; bytesLeft: number; damage: readonly Damage[] };
type StateFile = { format: string; volumes: Record<string, VolumeState> };

const NEW: VolumeState = { cursor: NEW_CURSOR, bytesLeft: 0, damage: [] };

/** Null: there is none yet. Throws Failure for a file that is something else. */
function readState(path: string): StateFile | null {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as Partial<StateFile> | null;
    if (file?.format === FORMAT && file.volumes) return { format: FORMAT, volumes: file.volumes };
  } catch (error) {
    if (fileCodeOf(error) === 'ENOENT') return null;
  }
  throw usageError(`${path} is not what a verification has left`, 'Name another file with --state.');
}

/**
 * How far the reading of each volume came, kept in a file, or (null) for this run alone.
 *
 * @throws Failure for a file that is something else
 */
export function openVerifyState(path: string | null) {
  const file: StateFile = (path === null ? null : readState(path)) ?? { format: FORMAT, volumes: {} };
  return {
    of: (volumeId: string): VolumeState => file.volumes[volumeId] ?? NEW,
    async save(volumeId: string, state: VolumeState): Promise<void> {
      file.volumes[volumeId] = state;
      if (path !== null) await replaceFile(path, `${JSON.stringify(file, null, 2)}\n`);
    },
  };
}

export type VerifyState = ReturnType<typeof openVerifyState>;
