import { BLOCK_BYTES } from '../blocks/block-store.ts';
import { AwsError } from '../service.ts';
import type { Volume } from './model.ts';
import type { World } from './world-state.ts';

const GIB = 2 ** 30;

function volumeOf(world: World, accountId: string, volumeId: string): Volume {
  const volume = world.volumes.get(volumeId);
  if (!volume || volume.accountId !== accountId)
    throw new AwsError('InvalidVolume.NotFound', 400, `The volume '${volumeId}' does not exist.`);
  return volume;
}

/** The pieces of `[offset, offset + length)` by block. */
function* pieces(offset: number, length: number) {
  for (let at = offset; at < offset + length; ) {
    const index = Math.floor(at / BLOCK_BYTES);
    const start = at - index * BLOCK_BYTES;
    const size = Math.min(BLOCK_BYTES - start, offset + length - at);
    yield { index, start, size, from: at - offset };
    at += size;
  }
}

/** What software on an instance does with its disks: reads and writes at any offset. */
export function createGuestVolumes(world: World) {
  /** The last write to each volume: a part of a block is read, changed and stored again, and nobody may come between. */
  const writing = new Map<string, Promise<void>>();

  async function writeNow(volume: Volume, offset: number, bytes: Buffer): Promise<void> {
    for (const { index, start, size, from } of pieces(offset, bytes.length)) {
      const before = volume.blocks.get(index);
      const block =
        size === BLOCK_BYTES
          ? bytes.subarray(from, from + size)
          : before === undefined
            ? Buffer.alloc(BLOCK_BYTES)
            : await world.blocks.get(before);
      if (size !== BLOCK_BYTES) bytes.copy(block, start, from, from + size);
      const slot = await world.blocks.put(block);
      const now = volume.blocks.get(index);
      volume.blocks.set(index, slot);
      if (now !== undefined) world.blocks.release(now);
    }
    world.changed();
  }

  return {
    async read(accountId: string, volumeId: string, offset: number, length: number): Promise<Buffer> {
      const volume = volumeOf(world, accountId, volumeId);
      const result = Buffer.alloc(Math.max(0, Math.min(length, volume.sizeGiB * GIB - offset)));
      for (const { index, start, size, from } of pieces(offset, result.length)) {
        const slot = volume.blocks.get(index);
        if (slot !== undefined) (await world.blocks.get(slot)).copy(result, from, start, start + size);
      }
      return result;
    },
    async write(accountId: string, volumeId: string, offset: number, bytes: Buffer): Promise<void> {
      const volume = volumeOf(world, accountId, volumeId);
      if (offset + bytes.length > volume.sizeGiB * GIB)
        throw new AwsError('InvalidParameterValue', 400, 'The write reaches past the end of the volume.');
      const turn = (writing.get(volumeId) ?? Promise.resolve()).then(() => writeNow(volume, offset, bytes));
      const settled = turn.then(
        () => {},
        () => {},
      );
      writing.set(volumeId, settled);
      await turn;
      if (writing.get(volumeId) === settled) writing.delete(volumeId);
    },
  };
}
