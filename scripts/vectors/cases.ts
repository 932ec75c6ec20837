import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { toHex } from '../../src/crypto/bytes.ts';
import { HEADER_BYTES } from '../../src/crypto/object-header.ts';
import { BLOCK, type Point, type Repository, SCOPE } from './repositories.ts';

export type Change =
  | { op: 'flip'; object: string; at: number; mask: number }
  | { op: 'truncate'; object: string; bytes: number }
  | { op: 'append' | 'replace'; object: string; hex: string }
  | { op: 'delete'; object: string }
  | { op: 'copy'; from: string; to: string }
  | { op: 'key'; object: string; hex: string | null }
  | { op: 'scope'; cell?: string; tenant?: string };

export type Case = {
  id: string;
  repository: string;
  volume: string;
  point: string;
  changes: Change[];
  expect?: string;
  sha256?: string;
};

/** SHA-256 of a whole image, its zeros included. */
export function imageSha256({ image, blocks }: Point): string {
  const sum = createHash('sha256');
  const zeros = Buffer.alloc(BLOCK * 1_024);
  let next = 0;
  const fill = (until: number) => {
    for (; next + 1_024 <= until; next += 1_024) sum.update(zeros);
    sum.update(zeros.subarray(0, (until - next) * BLOCK));
    next = until;
  };
  for (const [index, bytes] of [...image].toSorted(([a], [b]) => a - b)) {
    fill(index);
    sum.update(bytes);
    next = index + 1;
  }
  fill(blocks);
  return sum.digest('hex');
}

type Kind = 'pack' | 'bundle' | 'root' | 'index key' | 'pack key';
type Named = { kind: Kind; object: string; bytes: Uint8Array };

/** What the first point consists of: its first pack, the bundle with its first leaf, its root and its keys. */
function objectsOf({ store }: Repository): Named[] {
  const find = (kind: Kind, pattern: RegExp): Named => {
    const [object, bytes] = [...store.objects].find(([name]) => pattern.test(name)) ?? [];
    if (object === undefined || !bytes) throw new Error(`the repository has no ${kind}`);
    return { kind, object, bytes };
  };
  return [
    find('pack', /packs\/run-a\/.*\/00000000-/),
    find('bundle', /index\/run-a\/.*\/00000000-/),
    find('root', /roots\/run-a$/),
    find('index key', /keys\/run-a\/.*\/index$/),
    find('pack key', /keys\/run-a\/.*\/pack-000000$/),
  ];
}

const headerAt = ({ kind, bytes }: Named) => (kind === 'pack' ? bytes.length - HEADER_BYTES : 0);
const isKey = ({ kind }: Named) => kind.endsWith('key');
const slug = (text: string) => text.replaceAll(' ', '-');

type Outcome = { expect: string } | { sha256: string };
type Draft = { id: string; changes: Change[]; outcome: Outcome };
const corrupt: Outcome = { expect: 'object_corrupt' };

const FIELDS = { magic: 0, version: 4, type: 5, reserved: 7, attempt: 8, salt: 24, commitment: 48, crc: 80 };

/** Each field of the header damaged: the CRC notices; and damaged by somebody who knows about the CRC. */
function headerDrafts(named: Named, whole: Outcome): Draft[] {
  const { object, bytes } = named;
  const at = headerAt(named);
  const repaired = (field: number): Change => {
    const changed = Buffer.from(bytes);
    changed[at + field] = (changed[at + field] ?? 0) ^ 1;
    changed.writeUInt32BE(crc32(changed.subarray(at, at + HEADER_BYTES - 4)), at + HEADER_BYTES - 4);
    return { op: 'replace', object, hex: toHex(changed) };
  };
  const outcomes: Record<string, Outcome> = {
    magic: corrupt,
    version: { expect: 'unsupported_format' },
    type: whole,
    reserved: whole,
    // A root says by itself which attempt's keys to look for; elsewhere the place says it.
    attempt: { expect: named.kind === 'root' ? 'object_missing' : 'wrong_key' },
    salt: { expect: 'wrong_key' },
    commitment: { expect: 'wrong_key' },
  };
  return Object.entries(FIELDS).flatMap(([field, offset]): Draft[] => {
    const name = `${slug(named.kind)}-header-${field}`;
    const damaged: Draft = {
      id: `${name}-damaged`,
      changes: [{ op: 'flip', object, at: at + offset, mask: 1 }],
      outcome: corrupt,
    };
    const outcome = outcomes[field];
    return outcome ? [damaged, { id: `${name}-changed`, changes: [repaired(offset)], outcome }] : [damaged];
  });
}

/** Bytes of the sealed parts damaged. */
function bodyDrafts({ kind, object, bytes }: Named): Draft[] {
  const places: Record<Kind, Record<string, number>> = {
    pack: {
      'first-byte': 0,
      'second-slot': 200,
      'directory-length': bytes.length - HEADER_BYTES - 1,
      'directory-tag': bytes.length - HEADER_BYTES - 5,
      'directory-body': bytes.length - HEADER_BYTES - 4 - 16 - 10,
    },
    bundle: { 'page-body': HEADER_BYTES, 'page-middle': HEADER_BYTES + 40 },
    root: { codec: HEADER_BYTES, body: HEADER_BYTES + 1, tag: bytes.length - 1 },
    'index key': { magic: 0, version: 4, cell: 7, recipients: 130, digest: bytes.length - 1 },
    'pack key': { magic: 0, version: 4, cell: 7, wrapped: 200, digest: bytes.length - 32 },
  };
  return Object.entries(places[kind]).map(([place, at]) => ({
    id: `${slug(kind)}-${place}-damaged`,
    changes: [{ op: 'flip', object, at, mask: 0x80 }],
    outcome: corrupt,
  }));
}

/** Objects cut short, made longer, and taken away. */
function lengthDrafts(named: Named, whole: Outcome): Draft[] {
  const { kind, object } = named;
  const name = slug(kind);
  const cuts = [0, 1, 83, 84, -1, -16];
  // A bundle's first page is needed by this point, what lies behind it is not.
  const inBundle = (bytes: number) => kind === 'bundle' && bytes < 0;
  return [
    ...cuts
      .filter((bytes) => !inBundle(bytes))
      .map(
        (bytes): Draft => ({
          id: `${name}-cut-${bytes}`,
          changes: [{ op: 'truncate', object, bytes }],
          outcome: corrupt,
        }),
      ),
    {
      id: `${name}-longer`,
      changes: [{ op: 'append', object, hex: '00ff' }],
      outcome: kind === 'root' || isKey(named) ? corrupt : whole,
    },
    {
      id: `${name}-gone`,
      changes: [{ op: 'delete', object }],
      outcome: { expect: kind === 'root' ? 'not_found' : 'object_missing' },
    },
  ];
}

/** Objects under the names of others. */
function placeDrafts({ store }: Repository, named: readonly Named[]): Draft[] {
  const other = (pattern: RegExp) => [...store.objects.keys()].find((name) => pattern.test(name)) ?? '';
  const of = (kind: Kind) => named.find((one) => one.kind === kind)?.object ?? '';
  const copy = (id: string, from: string, to: string, expect: string): Draft => ({
    id,
    changes: [{ op: 'copy', from, to }],
    outcome: { expect },
  });
  return [
    copy('pack-of-another-run', other(/packs\/run-b\//), of('pack'), 'object_corrupt'),
    copy('bundle-of-another-run', other(/index\/run-b\/.*\/00000000-/), of('bundle'), 'wrong_key'),
    copy('bundle-of-another-ordinal', other(/index\/run-a\/.*\/00000001-/), of('bundle'), 'wrong_key'),
    copy('root-of-another-run', other(/roots\/run-b$/), of('root'), 'object_missing'),
    copy('index-key-of-another-run', other(/keys\/run-b\/.*\/index$/), of('index key'), 'wrong_key'),
    copy('pack-key-of-another-run', other(/keys\/run-b\/.*\/pack-000000$/), of('pack key'), 'wrong_key'),
    copy('pack-key-as-index-key', of('pack key'), of('index key'), 'wrong_key'),
    copy('index-key-as-pack-key', of('index key'), of('pack key'), 'wrong_key'),
    copy('pack-as-bundle', of('pack'), of('bundle'), 'object_corrupt'),
    copy('bundle-as-pack', of('bundle'), of('pack'), 'object_corrupt'),
    copy('root-as-bundle', of('root'), of('bundle'), 'wrong_key'),
    copy('bundle-as-root', of('bundle'), of('root'), 'wrong_key'),
    copy('key-as-root', of('index key'), of('root'), 'object_corrupt'),
    copy('root-as-key', of('root'), of('index key'), 'object_corrupt'),
  ];
}

/** Keys that are wrong, not there, or of somebody else. */
function keyDrafts(named: readonly Named[]): Draft[] {
  const wrong: Outcome = { expect: 'wrong_key' };
  const keys = named.filter(isKey).flatMap(({ kind, object }): Draft[] => [
    { id: `${slug(kind)}-opened-wrongly`, changes: [{ op: 'key', object, hex: '11'.repeat(32) }], outcome: wrong },
    { id: `${slug(kind)}-not-given`, changes: [{ op: 'key', object, hex: null }], outcome: wrong },
  ]);
  return [
    ...keys,
    { id: 'read-as-another-cell', changes: [{ op: 'scope', cell: 'us' }], outcome: wrong },
    { id: 'read-as-another-tenant', changes: [{ op: 'scope', tenant: 'ten_eu_b' }], outcome: wrong },
    { id: 'read-as-nobody', changes: [{ op: 'scope', cell: '', tenant: '' }], outcome: wrong },
  ];
}

/** Damage to the first point of a repository, by its class. */
export function damageCases(repository: Repository): Case[] {
  const [point] = repository.points;
  if (!point) throw new Error('the repository has no point');
  const whole = { sha256: imageSha256(point) };
  const named = objectsOf(repository);
  const drafts = [
    ...named.filter((one) => !isKey(one)).flatMap((one) => headerDrafts(one, whole)),
    ...named.flatMap(bodyDrafts),
    ...named.flatMap((one) => lengthDrafts(one, whole)),
    ...placeDrafts(repository, named),
    ...keyDrafts(named),
  ];
  return drafts.map(({ id, changes, outcome }) => ({
    id,
    repository: repository.name,
    volume: SCOPE.volumeId,
    point: point.runId,
    changes,
    ...outcome,
  }));
}
