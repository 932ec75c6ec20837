import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toHex } from '../../src/crypto/bytes.ts';
import { backupVolume } from '../../src/vault/backup.ts';
import { openKeyObject } from '../../src/vault/key-object.ts';
import { recoveryRecipient } from '../../src/vault/keys-file.ts';
import { createMemoryKeys, createMemorySource, createMemoryStore, type MemoryImage } from '../../src/vault/memory.ts';
import { RECIPIENT } from '../../src/vault/ports.ts';
import { planCollection } from '../../src/vault/gc/plan.ts';

export const BLOCK = 512;
export const SCOPE = { cell: 'eu', tenantId: 'ten_eu_0000000000000000000000000a', volumeId: 'vol-0123456789abcdef0' };

export type Point = { runId: string; image: MemoryImage; blocks: number };
export type Repository = {
  name: string;
  store: ReturnType<typeof createMemoryStore>;
  keys: ReturnType<typeof createMemoryKeys>;
  recoveryKeyPem: string | null;
  points: Point[];
};

/** A block of text that compresses, one of noise that does not, by seed. */
export function text(seed: number): Uint8Array {
  const bytes = Buffer.alloc(BLOCK);
  for (let at = 0; at < BLOCK; at += 16) bytes.write(`${seed} and ${at}      `.slice(0, 16), at, 'latin1');
  return bytes;
}
export function noise(seed: number): Uint8Array {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Uint8Array.from({ length: BLOCK }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}

/** A repository with a point for each image; each builds on the one before it. */
export async function backUp(
  name: string,
  images: readonly { image: MemoryImage; blocks: number }[],
  recovery: boolean,
) {
  const store = createMemoryStore();
  const keys = createMemoryKeys();
  const pair = recovery ? generateKeyPairSync('rsa', { modulusLength: 3_072 }) : null;
  const pem = (type: 'spki' | 'pkcs8') =>
    (type === 'spki'
      ? pair?.publicKey.export({ type, format: 'pem' })
      : pair?.privateKey.export({ type, format: 'pem' })
    )?.toString() ?? '';
  const region = createMemoryKeys();
  const recoveryRegion = {
    kind: RECIPIENT.recoveryRegion,
    name: 'recovery-region',
    // Any bytes will do: no reader of these fixtures has that region's key.
    wrap: async () => (await region.generate({ ...SCOPE, tenant: '', volume: '', run: '', purpose: 'index' })).wrapped,
  };
  const recipients = pair ? [recoveryRegion, recoveryRecipient(pem('spki'))] : [];
  const points: Point[] = [];
  const lineage = new Map<string, MemoryImage>();
  let base: { manifestKey: string; snapshotId: string } | null = null;
  for (const [n, { image, blocks }] of images.entries()) {
    const runId = `run-${String.fromCharCode(97 + n)}`;
    const snapshotId = `snap-${n}`;
    const source = createMemorySource({ image, blockBytes: BLOCK, volumeBytes: blocks * BLOCK, lineage });
    const made = await backupVolume({ store, keys, recipients }, { ...SCOPE, runId, snapshotId, source, base });
    base = { manifestKey: made.manifestKey, snapshotId };
    lineage.set(snapshotId, image);
    points.push({ runId, image, blocks });
  }
  return { name, store, keys, recoveryKeyPem: pair ? pem('pkcs8') : null, points };
}

const zeros = new Uint8Array(BLOCK);
const filled = (count: number, at: (n: number) => Uint8Array) =>
  new Map(Array.from({ length: count }, (_, n) => [n, at(n)] as const));

/** Text, noise and zeros; then a change, a new block, one gone, one equal to another. All three recipients. */
function basic(): Promise<Repository> {
  const first = new Map([
    [0, text(0)],
    [1, text(1)],
    [2, noise(2)],
    [5, zeros],
    [1_500, text(5)],
    [1_501, noise(6)],
  ]);
  const second = new Map(first).set(1, noise(11)).set(1_502, text(12)).set(7, text(0));
  second.delete(2);
  return backUp(
    'basic',
    [
      { image: first, blocks: 2_048 },
      { image: second, blocks: 2_048 },
    ],
    true,
  );
}

/** Two nodes of the manifest, nearly empty. */
const twoNodes = (): Promise<Repository> =>
  backUp(
    'two-nodes',
    [
      {
        image: new Map([
          [3, text(3)],
          [530_000, noise(4)],
        ]),
        blocks: 532_480,
      },
    ],
    false,
  );

/** Five points of a growing volume, of which the second and fourth were pruned. */
async function chain(): Promise<Repository> {
  const images: { image: MemoryImage; blocks: number }[] = [];
  let image: Map<number, Uint8Array> = filled(20, text);
  for (let n = 0; n < 5; n += 1) {
    image = new Map(image).set(n, noise(100 + n)).set(1_024 * (n + 1), text(200 + n));
    image.delete(10 + n);
    images.push({ image, blocks: 2_048 * (n + 1) });
  }
  const made = await backUp('chain', images, false);
  const points = made.points.filter((_, n) => n % 2 === 0);
  const manifestKeys = points.map(({ runId }) => `v1/${SCOPE.volumeId}/roots/${runId}`);
  const state = {
    deletedRoots: [],
    openRunIds: [],
    condemnations: [],
    doomed: [],
    longestJobMs: 0,
    packsAllowed: () => 0,
  };
  const kept = [{ volumeId: SCOPE.volumeId, manifestKeys }];
  const { condemn } = await planCollection(made, SCOPE, async () => ({ ...state, kept }));
  await made.store.delete(condemn.map(({ key }) => key));
  return { ...made, points };
}

const empty = (): Promise<Repository> =>
  backUp(
    'empty',
    [
      { image: new Map(), blocks: 16 },
      { image: new Map([[1, zeros]]), blocks: 16 },
    ],
    false,
  );

export const repositories = (): Promise<Repository[]> => Promise.all([basic(), twoNodes(), chain(), empty()]);

/** Every data key of a repository, opened, by the name of its object. */
export async function openedKeys({ store, keys }: Repository): Promise<Record<string, string>> {
  const opened: Record<string, string> = {};
  for (const [name, bytes] of store.objects) {
    const [, volumeId = '', kind, runId = '', attempt = '', key = ''] = name.split('/');
    if (kind !== 'keys') continue;
    opened[name] = toHex(await openKeyObject(keys, bytes, { ...SCOPE, volumeId, runId, attempt, key }));
  }
  return opened;
}

export async function writeRepository(dir: string, repository: Repository): Promise<void> {
  const folder = join(dir, repository.name);
  for (const [name, bytes] of repository.store.objects) {
    const path = join(folder, 'objects', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  const keys = {
    format: 'domicile-keys/v1',
    cell: SCOPE.cell,
    tenant: SCOPE.tenantId,
    keys: await openedKeys(repository),
  };
  writeFileSync(join(folder, 'KEYS.json'), `${JSON.stringify(keys, null, 2)}\n`);
  if (repository.recoveryKeyPem) writeFileSync(join(folder, 'recovery-key.pem'), repository.recoveryKeyPem);
}
