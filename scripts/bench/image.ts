import { createCipheriv } from 'node:crypto';
import { open } from 'node:fs/promises';

/** Bytes of one EBS block. */
export const BLOCK_BYTES = 524_288;
export const MIB = 2 ** 20;

/** In a hundred blocks: those of zeros, and of the others those that do not compress, and those that change. */
const ZERO_PERCENT = 22;
const RANDOM_PERCENT = 10;
const CHANGED_PERCENT = 2;
const RECORD_BYTES = 32;
const LITERAL_BYTES = 11;
const TEMPLATES = 256;

/** A replayable stream of bytes: AES-CTR, because the generator must not take longer than what is measured. */
function stream(seed: string, bytes: number): Buffer {
  const key = Buffer.alloc(16);
  key.write(seed.slice(0, 16), 'latin1');
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

/** Records of a part that is random and a part that recurs in this block only: about 2.5:1 under zstd-1. */
function records(seed: string): Buffer {
  const block = stream(seed, BLOCK_BYTES);
  const repeated = RECORD_BYTES - LITERAL_BYTES;
  const templates = stream(`t${seed}`, TEMPLATES * repeated);
  for (let at = 0; at < BLOCK_BYTES; at += RECORD_BYTES) {
    const from = (block[at] ?? 0) * repeated;
    templates.copy(block, at + LITERAL_BYTES, from, from + repeated);
  }
  return block;
}

/** The block of an index: null reads as zeros. `generation` 0 is the first image, 1 the one after the changes. */
export function blockAt(index: number, generation: 0 | 1): Buffer | null {
  const dice = stream(`dice${index}`, 6);
  const percent = (at: number) => dice.readUInt16LE(at) % 100;
  const changed = generation === 1 && percent(4) < CHANGED_PERCENT;
  if (percent(0) < ZERO_PERCENT && !changed) return null;
  const seed = `${generation === 1 && changed ? 'b' : 'a'}${index}`;
  return percent(2) < RANDOM_PERCENT ? stream(seed, BLOCK_BYTES) : records(seed);
}

/** Writes an image of `blocks` blocks, sparse where it is zeros. */
export async function writeImage(path: string, blocks: number, generation: 0 | 1): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(blocks * BLOCK_BYTES);
    for (let index = 0; index < blocks; index += 1) {
      const block = blockAt(index, generation);
      if (block) await file.write(block, 0, BLOCK_BYTES, index * BLOCK_BYTES);
    }
  } finally {
    await file.close();
  }
}
