import { createCipheriv, createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

const CHUNK_BYTES = 1 << 20;
const RECORD_BYTES = 512;
/** Files read at once: most are small, so that their number, not their size, is what takes time. */
const READ_AHEAD = 16;

/** Every regular file below `dir`, in a stable order, links left out. */
async function* filesBelow(dir: string): AsyncGenerator<string> {
  const entries = await readdir(dir, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** A ustar header (POSIX.1-1988): name, mode, size, time, checksum. Long names keep their end, which tells them apart. */
function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(RECORD_BYTES);
  header.write(name.slice(-100), 0, 100, 'latin1');
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('00000000000\0', 136, 'latin1');
  header.write('        ', 148, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

async function* tarOf(dir: string): AsyncGenerator<Buffer> {
  const ahead: Promise<[string, Buffer]>[] = [];
  const next = async (): Promise<Buffer[]> => {
    const [path, bytes] = (await ahead.shift()) ?? ['', Buffer.alloc(0)];
    const padding = (RECORD_BYTES - (bytes.length % RECORD_BYTES)) % RECORD_BYTES;
    return [tarHeader(relative(dir, path), bytes.length), bytes, Buffer.alloc(padding)];
  };
  for await (const path of filesBelow(dir)) {
    ahead.push(readFile(path).then((bytes) => [path, bytes]));
    if (ahead.length >= READ_AHEAD) yield* await next();
  }
  while (ahead.length > 0) yield* await next();
}

/** Bytes that no one can compress, the same for the same seed: AES-CTR over zeros. */
export function* noise(seed: string, bytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let left = bytes; left > 0; left -= CHUNK_BYTES)
    yield cipher.update(left < CHUNK_BYTES ? zeros.subarray(0, left) : zeros);
}

/**
 * `bytes` of real data: the tar of a folder from byte `from` on, and where that ends before, incompressible bytes. Both
 * together look like a disk in use: text, binaries and things already compressed.
 */
export async function* folderData(dir: string, range: { from: number; bytes: number }): AsyncGenerator<Buffer> {
  let at = 0;
  let left = range.bytes;
  for await (const chunk of tarOf(dir)) {
    const start = Math.max(0, range.from - at);
    at += chunk.length;
    if (start >= chunk.length) continue;
    const part = chunk.subarray(start, Math.min(chunk.length, start + left));
    yield part;
    left -= part.length;
    if (left === 0) return;
  }
  yield* noise(`${dir}:${range.from}`, left);
}

/** Gathers small pieces into chunks of 1 MiB, because a request body of 25,000 pieces is slow. */
export async function* inChunks(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    parts.push(piece);
    size += piece.length;
    if (size < CHUNK_BYTES) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts);
}
