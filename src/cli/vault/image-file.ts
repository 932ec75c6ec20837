import { existsSync } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { Fault } from '../../core/faults.ts';
import type { BlockSink } from '../../vault/ports.ts';
import { Failure, usageError } from '../failure.ts';
import { fileCodeOf, publishNew, publishOver } from './files.ts';
import { findState, type ImageSource, namesOf, saveState } from './image-state.ts';

/** An image being written. `close` keeps how far it came, unless it is complete. */
export type ImageFile = {
  sink: BlockSink;
  /** Blocks below were written by an earlier try. */
  from: number;
  /** All blocks below `next` were written. */
  written(next: number): Promise<void>;
  close(): Promise<void>;
};

/** How much of a volume is written again, at most, after the machine has failed. */
const SAVE_BYTES = 256 * 2 ** 20;
/** Works on files; what goes wrong is a Fault that names the file, so that it comes from a thread as it is. */
async function on<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure || error instanceof Fault) throw error;
    const why = error instanceof Error ? error.message : '';
    throw new Fault('unavailable', why, { cause: error, facts: { file: path } });
  }
}

const inTheWay = (path: string) => usageError(`${path} exists`, 'Give --force, or name another file with --to.');

/** Refuses what must not be replaced: without `force` anything, with it all but ordinary files. */
async function assertFree(path: string, force: boolean): Promise<void> {
  if (!existsSync(path)) return;
  if (!force) throw inTheWay(path);
  if (!(await stat(path)).isFile()) throw usageError(`${path} is no ordinary file`, 'Name another file with --to.');
}

/** Gives the finished file its name, and takes nobody else's unless that was asked for. */
async function publish(path: string, force: boolean): Promise<void> {
  const { partial, state } = namesOf(path);
  try {
    await (force ? publishOver(partial, path) : publishNew(partial, path));
  } catch (error) {
    throw fileCodeOf(error) === 'EEXIST' ? inTheWay(path) : error;
  }
  await rm(state, { force: true });
}

/** Opens the file under its first name, as long as the volume and all of it a hole unless an earlier try has written in it. */
async function openPartial(path: string, source: ImageSource, from: number): Promise<FileHandle> {
  await saveState(path, source, from);
  const file = await open(namesOf(path).partial, from === 0 ? 'w' : 'r+', 0o600);
  try {
    await file.truncate(source.volumeBytes);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes a block at its place. What lies beyond the end of the volume is none of its blocks. */
async function writeBlock(
  file: FileHandle,
  { blockBytes, volumeBytes }: ImageSource,
  index: number,
  bytes: Uint8Array,
) {
  const start = index * blockBytes;
  if (start >= volumeBytes) throw new Fault('object_corrupt', `Block ${index} lies beyond the end of the volume.`);
  const length = Math.min(blockBytes, volumeBytes - start);
  for (let done = 0; done < length; ) done += (await file.write(bytes, done, length - done, start + done)).bytesWritten;
}

/** Writes blocks of an image that `openImage` has opened, from another thread. */
export function openImageWriter(
  path: string,
  source: ImageSource,
): Pick<BlockSink, 'put'> & { close(): Promise<void> } {
  const opening = open(namesOf(path).partial, 'r+');
  opening.catch(() => {}); // The first block tells.
  return {
    put: (index, bytes) => on(path, async () => writeBlock(await opening, source, index, bytes)),
    close: () => opening.then((file) => file.close()).catch(() => {}),
  };
}

/**
 * Opens the sparse file of a restore: it is written as `<path>.partial`, and has its own name only once it is complete and durable.
 * Beside it lies how far it came, for another try to go on from there.
 *
 * `force` replaces what has the name already, and begins anew.
 *
 * @throws Failure when there is a file in the way; Fault `unavailable` with the fact `file` when it cannot be written
 */
export async function openImage(
  path: string,
  source: ImageSource,
  { force = false, saveBytes = SAVE_BYTES }: { force?: boolean; saveBytes?: number } = {},
): Promise<ImageFile> {
  await assertFree(path, force);
  const from = force ? 0 : await findState(path, source);
  const file = await on(path, () => openPartial(path, source, from));
  let [reached, saved, complete] = [from, from, false];
  async function save(): Promise<void> {
    await file.datasync();
    await saveState(path, source, reached);
    saved = reached;
  }
  return {
    from,
    sink: {
      blockBytes: source.blockBytes,
      put: (index, bytes) => on(path, () => writeBlock(file, source, index, bytes)),
      complete: () =>
        on(path, async () => {
          await file.sync();
          await publish(path, force);
          complete = true;
        }),
    },
    async written(next) {
      reached = next;
      if ((reached - saved) * source.blockBytes >= saveBytes) await on(path, save);
    },
    async close() {
      try {
        if (!complete && reached > saved) await on(path, save);
      } finally {
        await file.close();
      }
    },
  };
}
