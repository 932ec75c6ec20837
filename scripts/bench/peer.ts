import { createHash } from 'node:crypto';
import { openSync, readFileSync, readSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { BLOCK_BYTES } from './image.ts';

/**
 * The other end of what is measured: the fewest calls of the EBS direct APIs and of S3 that a backup and a restore make, with
 * objects in memory and blocks from two image files. It checks no signature; it compares every block that is put with the
 * second image. `peer.ts <first image> <second image> <blocks> <cert file> <key file>`; prints its two ports as JSON.
 */
const [first = '', second = '', count = '0', certFile = '', keyFile = ''] = process.argv.slice(2);
const BLOCKS = Number(count);
const EXPIRES = 4_102_444_800;

type Image = { file: number; sums: (string | null)[] };

const zeros = Buffer.alloc(BLOCK_BYTES);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64');

function read(file: number, index: number): Buffer {
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readSync(file, block, 0, BLOCK_BYTES, index * BLOCK_BYTES);
  return block;
}

/** Blocks of the snapshot that warms the engine up. */
const WARM_BLOCKS = 512;

function openImage(path: string): Image {
  const file = openSync(path, 'r');
  const sums = Array.from({ length: BLOCKS }, (_, index) => {
    const block = read(file, index);
    return block.equals(zeros) ? null : sha256(block);
  });
  return { file, sums };
}

const [one, two] = [openImage(first), openImage(second)];
const images = new Map<string, Image>([
  ['snap-1', one],
  ['snap-2', two],
  ['snap-warm', { ...one, sums: one.sums.map((sum, index) => (index < WARM_BLOCKS ? sum : null)) }],
]);
const objects = new Map<string, Buffer>();
const written = { blocksPut: 0, blocksWrong: 0, blocksToWrite: two.sums.filter((sum) => sum !== null).length };

const json = (res: ServerResponse, value: object) => {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
};

async function bodyOf(req: IncomingMessage): Promise<Buffer> {
  const body = Buffer.allocUnsafeSlow(Number(req.headers['content-length'] ?? 0));
  let at = 0;
  for await (const piece of req) at += (piece as Buffer).copy(body, at);
  return body;
}

const volume = { VolumeSize: Math.ceil((BLOCKS * BLOCK_BYTES) / 2 ** 30), BlockSize: BLOCK_BYTES, ExpiryTime: EXPIRES };

/** Listing pages: blocks of `snapshotId`, or what differs from the snapshot before it. */
function list(url: URL, image: Image, before: Image | null): object {
  const most = Number(url.searchParams.get('maxResults') ?? 10_000);
  const start = Number(url.searchParams.get('pageToken') ?? url.searchParams.get('startingBlockIndex') ?? 0);
  const items: object[] = [];
  let index = start;
  for (; index < BLOCKS && items.length < most; index += 1) {
    const sum = image.sums[index] ?? null;
    const BlockToken = `t${index}`;
    if (!before && sum !== null) items.push({ BlockIndex: index, BlockToken });
    if (before && sum !== before.sums[index])
      items.push({
        BlockIndex: index,
        FirstBlockToken: 'f',
        ...(sum === null ? {} : { SecondBlockToken: BlockToken }),
      });
  }
  const more = index < BLOCKS ? { NextToken: String(index) } : {};
  return { ...volume, ...more, [before ? 'ChangedBlocks' : 'Blocks']: items };
}

function getBlock(res: ServerResponse, image: Image, index: number): void {
  res.writeHead(200, {
    'content-length': BLOCK_BYTES,
    'x-amz-data-length': BLOCK_BYTES,
    'x-amz-checksum': image.sums[index] ?? sha256(zeros),
    'x-amz-checksum-algorithm': 'SHA256',
  });
  res.end(read(image.file, index));
}

/** Only what is written to `snap-restored` is compared: the second image is what was restored. */
async function putBlock(req: IncomingMessage, res: ServerResponse, at: { snapshotId: string; index: number }) {
  const body = await bodyOf(req);
  if (at.snapshotId === 'snap-restored') {
    written.blocksPut += 1;
    if (!read(two.file, at.index).equals(body)) written.blocksWrong += 1;
  }
  json(res, {});
}

async function blocks(req: IncomingMessage, res: ServerResponse, url: URL): Promise<void> {
  const [, , snapshotId = '', what, index] = url.pathname.split('/');
  if (req.method === 'PUT') return putBlock(req, res, { snapshotId, index: Number(index) });
  const image = images.get(snapshotId);
  if (!image) return void res.writeHead(404, { 'content-length': 0 }).end();
  if (index !== undefined) return getBlock(res, image, Number(index));
  const earlier = images.get(url.searchParams.get('firstSnapshotId') ?? '') ?? null;
  json(res, list(url, image, what === 'changedblocks' ? earlier : null));
}

function listObjects(res: ServerResponse, prefix: string): void {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix)).toSorted();
  const contents = keys.map((key) => `<Contents><Key>${key}</Key><Size>${objects.get(key)?.length}</Size></Contents>`);
  const xml = `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>${contents.join('')}</ListBucketResult>`;
  res.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) }).end(xml);
}

const refuse = (res: ServerResponse, status: number, code: string) => {
  const xml = `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  res.writeHead(status, { 'content-type': 'application/xml', 'content-length': xml.length }).end(xml);
};

async function bucket(req: IncomingMessage, res: ServerResponse, url: URL): Promise<void> {
  const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
  if (req.method === 'PUT') {
    const body = await bodyOf(req);
    if (objects.has(key)) return refuse(res, 412, 'PreconditionFailed');
    objects.set(key, body);
    return void res.writeHead(200, { 'content-length': 0 }).end();
  }
  if (url.searchParams.has('list-type')) return listObjects(res, url.searchParams.get('prefix') ?? '');
  const object = objects.get(key);
  if (!object) return refuse(res, 404, 'NoSuchKey');
  const range = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? '');
  const body = range ? object.subarray(Number(range[1]), Number(range[2]) + 1) : object;
  res.writeHead(range ? 206 : 200, { 'content-length': body.length }).end(body);
}

/** CPU seconds of its own; objects with a prefix and their bytes; blocks of the restored snapshot, put and wrong. */
function report(res: ServerResponse, prefix: string): void {
  const { user, system } = process.cpuUsage();
  const stored = [...objects].filter(([key]) => key.startsWith(prefix));
  const storedBytes = stored.reduce((sum, [, { length }]) => sum + length, 0);
  json(res, { cpuSeconds: (user + system) / 1e6, storedBytes, objects: stored.length, ...written });
}

function handle(req: IncomingMessage, res: ServerResponse): void {
  const url = new URL(req.url ?? '/', 'http://peer');
  if (url.pathname === '/report') return report(res, url.searchParams.get('prefix') ?? '');
  const work = url.pathname.startsWith('/snapshots/') ? blocks(req, res, url) : bucket(req, res, url);
  work.catch((error: unknown) => res.destroy(error instanceof Error ? error : undefined));
}

const servers = [
  createServer({ keepAliveTimeout: 60_000 }, handle),
  createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile), keepAliveTimeout: 60_000 }, handle),
];
const ports = await Promise.all(
  servers.map(
    (server) =>
      new Promise<number>((resolve) => {
        server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
      }),
  ),
);
process.stdout.write(`${JSON.stringify(ports)}\n`);
