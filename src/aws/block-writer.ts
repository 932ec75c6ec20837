import type { Clock } from '../core/clock.ts';
import type { BlockSink } from '../vault/ports.ts';
import { awsErrorName, reasonOf, toAwsFault } from './faults.ts';
import type { BlockCalls } from './lean/blocks.ts';

/** A new snapshot may be unknown for a while after StartSnapshot; coldsnap found up to two minutes necessary. */
const UNKNOWN_ATTEMPTS = 12;
/** A right that is really missing is said after five seconds. */
const UNKNOWN_TAGS_ATTEMPTS = 4;
const UNKNOWN_WAIT_MS = 500;

/**
 * Refusals of a put that pass: the snapshot, or the tags by which we may write it, are not known everywhere yet, or the
 * write was late or crossed another.
 */
function isPassing(error: unknown, attempt: number): boolean {
  if (awsErrorName(error) === 'AccessDeniedException') return attempt <= UNKNOWN_TAGS_ATTEMPTS;
  if (awsErrorName(error) === 'ResourceNotFoundException') return true;
  if (['WRITE_REQUEST_TIMEOUT', 'CONFLICTING_BLOCK_UPDATE'].includes(reasonOf(error))) return true;
  return error instanceof Error && error.message.includes('Failed to read block data');
}

/** Writes blocks of a started snapshot, and waits where AWS does not know it yet. */
export function openBlockWriter(
  clients: { lean: { blocks: BlockCalls } },
  options: { awsRegion: string; snapshotId: string; clock: Clock; signal: AbortSignal },
): Pick<BlockSink, 'put'> {
  const { awsRegion, snapshotId, clock, signal } = options;
  return {
    async put(index, bytes, sha256) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await clients.lean.blocks.put({ snapshotId, index, bytes, sha256 });
        } catch (error) {
          if (!isPassing(error, attempt) || attempt === UNKNOWN_ATTEMPTS)
            throw toAwsFault(error, `write block ${index} of ${snapshotId}`, awsRegion);
          await clock.sleep(UNKNOWN_WAIT_MS * attempt, signal);
          signal.throwIfAborted();
        }
      }
    },
  };
}
