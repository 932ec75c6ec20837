import { randomBytes } from 'node:crypto';
import { createByteWriter, sha256, toHex } from '../../src/crypto/bytes.ts';
import { HEADER_BYTES } from '../../src/crypto/object-header.ts';
import { SALT_BYTES } from '../../src/crypto/object-key.ts';
import { createObjectSealer, openSealedObject } from '../../src/crypto/sealed-object.ts';
import { PAGE, type PageKind, pageId } from '../../src/vault/bundle-writer.ts';
import {
  type DirectoryEntry,
  encodeDirectory,
  encodeTail,
  headerOfTail,
  openDirectory,
} from '../../src/vault/directory.ts';
import { encodeKeyObject, identityLabel } from '../../src/vault/key-object.ts';
import { bundleKey, contextOf, packKey, packKeyName } from '../../src/vault/layout.ts';
import { createManifestReader, type Manifest } from '../../src/vault/manifest.ts';
import { encodeNode } from '../../src/vault/node.ts';
import { closedOf, objectRefOf } from '../../src/vault/places.ts';
import { createKeyRing } from '../../src/vault/run-keys.ts';
import type { Case } from './cases.ts';
import { BLOCK, type Repository, SCOPE } from './repositories.ts';

type Outcome = { expect: string };
type Crafted = { id: string; object: string; bytes: Uint8Array; outcome: Outcome };

const corrupt = { expect: 'object_corrupt' };
const unsupported = { expect: 'unsupported_format' };

/** Everything of the first point of a repository that a dishonest writer with the right keys needs. */
async function insideOf(repository: Repository) {
  const ring = createKeyRing(repository, SCOPE);
  const reader = createManifestReader(repository, SCOPE, ring);
  const manifestKey = `v1/${SCOPE.volumeId}/roots/run-a`;
  const manifest = await reader.root(manifestKey);
  const [node] = manifest.nodes;
  if (!node) throw new Error('the first point has no node');
  const leaves = await reader.node(node);
  const [[leafNumber, leaf] = []] = leaves;
  if (leafNumber === undefined || !leaf) throw new Error('the first point has no leaf');
  const [block] = (await reader.leaf(leafNumber, leaf)).values();
  if (!block) throw new Error('the first leaf has no block');
  const indexKey = await ring.dataKey(manifest, 'index');
  const dataKey = await ring.dataKey(block.pack, packKeyName(block.pack.ordinal));
  return { manifestKey, manifest, node, leaves, leaf, pack: block.pack, indexKey, dataKey };
}

type Inside = Awaited<ReturnType<typeof insideOf>>;

/** A root sealed with its own key, saying what it should not. */
function craftRoot(
  { manifestKey, manifest, indexKey }: Inside,
  id: string,
  plain: Uint8Array,
  outcome: Outcome,
): Crafted {
  const context = contextOf(SCOPE, manifest, 'root', 0);
  const sealer = createObjectSealer({ dataKey: indexKey, context, salt: randomBytes(SALT_BYTES) });
  const codec = id === 'root-of-unknown-codec' ? 9 : 0;
  const { sealed } = sealer.seal({ codec, id: new Uint8Array() }, plain);
  const bytes = Buffer.concat([sealer.header, Uint8Array.of(codec), sealed]);
  return { id, object: manifestKey, bytes, outcome };
}

function craftedRoots(inside: Inside): Crafted[] {
  const { manifest } = inside;
  const json = (change: Partial<Record<keyof Manifest, unknown>>) =>
    Buffer.from(JSON.stringify({ ...manifest, ...change }));
  return [
    craftRoot(inside, 'root-not-json', Buffer.from('not json'), corrupt),
    craftRoot(inside, 'root-of-later-format', json({ format: 'domicile/v2' }), unsupported),
    craftRoot(inside, 'root-of-unknown-codec', json({}), unsupported),
    craftRoot(inside, 'root-that-names-another-run', json({ runId: 'run-z' }), corrupt),
    craftRoot(inside, 'root-that-names-another-attempt', json({ attempt: '0'.repeat(32) }), corrupt),
    craftRoot(inside, 'root-that-looks-for-another-node', json({ nodes: [{ ...inside.node, number: 1 }] }), corrupt),
    craftRoot(inside, 'root-with-another-id-key', json({ idKey: '0'.repeat(64) }), corrupt),
    craftRoot(inside, 'root-with-larger-blocks', json({ blockBytes: BLOCK * 2 }), corrupt),
  ];
}

/** The bundle of the first node, sealed again with another page in each of its places. */
function craftNode({ node, indexKey }: Inside, id: string, plain: Uint8Array, kind: PageKind = PAGE.node): Crafted {
  const context = contextOf(SCOPE, node, 'index', node.ordinal);
  const sealer = createObjectSealer({ dataKey: indexKey, context, salt: randomBytes(SALT_BYTES) });
  const parts: Uint8Array[] = [sealer.header];
  for (let slot = 0; slot < node.slot; slot += 1)
    sealer.seal({ codec: 0, id: pageId(PAGE.leaf, slot) }, new Uint8Array());
  const { sealed } = sealer.seal({ codec: node.codec, id: pageId(kind, node.number) }, plain);
  const before = Buffer.alloc(node.offset - HEADER_BYTES);
  parts.push(before, sealed, Buffer.alloc(Math.max(0, node.lengthBytes - sealed.length)));
  return { id, object: bundleKey(SCOPE.volumeId, node), bytes: Buffer.concat(parts), outcome: corrupt };
}

function craftedNodes(inside: Inside): Crafted[] {
  if (inside.node.codec !== 0) return [];
  const room = inside.node.lengthBytes - 16;
  const padded = (bytes: Uint8Array) =>
    Buffer.concat([bytes, Buffer.alloc(Math.max(0, room - bytes.length))]).subarray(0, room);
  const node = encodeNode(SCOPE.volumeId, 0, inside.leaves);
  const other = Buffer.from(node);
  other.writeUInt32BE(5, 0);
  return [
    craftNode(inside, 'node-of-another-number', padded(other)),
    craftNode(inside, 'node-that-ends-early', padded(node.subarray(0, 8))),
    craftNode(inside, 'node-that-was-a-leaf', padded(node), PAGE.leaf),
  ];
}

type PackChange = {
  id: string;
  blocks?: (slot: number, plain: Uint8Array) => Uint8Array;
  directory?: (entries: DirectoryEntry[]) => DirectoryEntry[];
};

/** The pack of the first leaf, sealed again with other blocks or another directory. */
function craftPack(repository: Repository, { pack, dataKey }: Inside, change: PackChange): Crafted {
  const object = packKey(SCOPE.volumeId, objectRefOf(pack));
  const bytes = repository.store.objects.get(object) ?? new Uint8Array();
  const { directoryOffset } = closedOf(pack);
  const tail = bytes.subarray(directoryOffset);
  const context = contextOf(SCOPE, pack, 'pack', pack.ordinal);
  const opened = openSealedObject(dataKey, headerOfTail(tail), context);
  const entries = openDirectory(opened, tail, directoryOffset);
  const sealer = createObjectSealer({ dataKey, context, salt: randomBytes(SALT_BYTES) });
  const slots = entries.map(({ offset, lengthBytes, codec, id: blockIdentity }, number) => {
    const plain = opened.open({ number, codec, id: blockIdentity }, bytes.subarray(offset, offset + lengthBytes));
    return sealer.seal({ codec, id: blockIdentity }, change.blocks?.(number, plain) ?? plain).sealed;
  });
  const directory = encodeDirectory(change.directory?.(entries) ?? entries);
  const crafted = Buffer.concat([...slots, encodeTail(0, sealer.sealDirectory(0, directory), sealer.header)]);
  return { id: change.id, object, bytes: crafted, outcome: corrupt };
}

function craftedPacks(repository: Repository, inside: Inside): Crafted[] {
  const craft = (id: string, change: Omit<PackChange, 'id'>) => craftPack(repository, inside, { id, ...change });
  const first = (entries: DirectoryEntry[], part: Partial<DirectoryEntry>) =>
    entries.map((entry, slot) => (slot === 0 ? { ...entry, ...part } : entry));
  return [
    craft('pack-block-of-another-id', { blocks: (_, plain) => Buffer.from(plain).reverse() }),
    craft('pack-directory-beyond-its-end', { directory: (all) => first(all, { offset: 2 ** 31 }) }),
    craft('pack-directory-with-other-ids', { directory: (all) => first(all, { id: new Uint8Array(32) }) }),
    craft('pack-directory-with-slots-exchanged', {
      directory: (all) => [all[1] ?? all[0], all[0], ...all.slice(2)].flatMap((one) => one ?? []),
    }),
    craft('pack-directory-of-slots-too-short', { directory: (all) => first(all, { lengthBytes: 16 }) }),
    craft('pack-with-fewer-slots-than-the-leaf-says', { directory: (all) => all.slice(0, 1) }),
  ];
}

/** Key objects whose digest is right and whose content is not. */
async function craftedKeys(repository: Repository, { manifest }: Inside): Promise<Crafted[]> {
  const object = `v1/${SCOPE.volumeId}/keys/${manifest.runId}/${manifest.attempt}/index`;
  const identity = { ...SCOPE, runId: manifest.runId, attempt: manifest.attempt, key: 'index' };
  const bytes = repository.store.objects.get(object) ?? new Uint8Array();
  const resum = (change: (body: Buffer) => void) => {
    const body = Buffer.from(bytes.subarray(0, bytes.length - 32));
    change(body);
    return Buffer.concat([body, sha256(body)]);
  };
  const recipients = [
    { kind: 200, name: 'unknown', wrapped: new Uint8Array(9) },
    { kind: 1, name: 'memory', wrapped: new Uint8Array(60) },
  ];
  const labelled = identityLabel(identity).length;
  const own = createByteWriter();
  own.bytes(bytes.subarray(0, 5 + labelled));
  own.u8(3);
  return [
    { id: 'key-of-later-version', object, bytes: resum((body) => void body.writeUInt8(2, 4)), outcome: unsupported },
    { id: 'key-of-other-magic', object, bytes: resum((body) => void body.writeUInt8(0, 0)), outcome: corrupt },
    {
      id: 'key-that-names-another-cell',
      object,
      bytes: encodeKeyObject({ ...identity, cell: 'us' }, recipients),
      outcome: { expect: 'wrong_key' },
    },
    {
      id: 'key-that-names-another-tenant',
      object,
      bytes: encodeKeyObject({ ...identity, tenantId: 'ten_eu_b' }, recipients),
      outcome: { expect: 'wrong_key' },
    },
    {
      id: 'key-that-names-another-volume',
      object,
      bytes: encodeKeyObject({ ...identity, volumeId: 'vol-b' }, recipients),
      outcome: { expect: 'wrong_key' },
    },
    {
      id: 'key-that-names-another-run',
      object,
      bytes: encodeKeyObject({ ...identity, runId: 'run-b' }, recipients),
      outcome: { expect: 'wrong_key' },
    },
    {
      id: 'key-that-names-another-attempt',
      object,
      bytes: encodeKeyObject({ ...identity, attempt: 'f'.repeat(32) }, recipients),
      outcome: { expect: 'wrong_key' },
    },
    {
      id: 'key-that-names-another-purpose',
      object,
      bytes: encodeKeyObject({ ...identity, key: 'pack-000000' }, recipients),
      outcome: { expect: 'wrong_key' },
    },
    {
      id: 'key-with-fewer-recipients-than-it-says',
      object,
      bytes: Buffer.concat([own.done(), sha256(own.done())]),
      outcome: corrupt,
    },
  ];
}

/** Cases that only somebody with the keys can make: readers must not trust what is authentic. */
export async function craftedCases(repository: Repository): Promise<Case[]> {
  const inside = await insideOf(repository);
  const all = [
    ...craftedRoots(inside),
    ...craftedNodes(inside),
    ...craftedPacks(repository, inside),
    ...(await craftedKeys(repository, inside)),
  ];
  return all.map(({ id, object, bytes, outcome }) => ({
    id: `crafted-${id}`,
    repository: repository.name,
    volume: SCOPE.volumeId,
    point: 'run-a',
    changes: [{ op: 'replace', object, hex: toHex(bytes) }],
    ...outcome,
  }));
}
