import { Fault } from '../core/faults.ts';
import { damageClassOf, type DamageClass } from './damage.ts';
import { type AttemptRef, keyObjectKey, type VolumeScope } from './layout.ts';
import { closedOf, type ContainerRef } from './places.ts';
import type { BlobStore } from './ports.ts';
import type { DataKeys } from './run-keys.ts';
import type { Flaw, Judges } from './verify-inspect.ts';
import { type ContainerKind, objectKeyOf, type ObjectTable } from './verify-table.ts';

const classOf = (work: Promise<unknown>): Promise<DamageClass | null> => work.then(() => null, damageClassOf);

/** Each question once: what was answered is kept. */
function createMemo<T>() {
  const answers = new Map<string, Promise<T>>();
  return (name: string, ask: () => Promise<T>): Promise<T> => {
    const known = answers.get(name);
    if (known) return known;
    const answer = ask();
    answers.set(name, answer);
    return answer;
  };
}

/** Is the data key there, whole, of this very place, and does it open? Each is asked for once. */
export function createKeyJudge(ring: DataKeys): Judges['key'] {
  const once = createMemo<DamageClass | null>();
  return (ref: AttemptRef & { volumeId: string }, key: string) =>
    once(keyObjectKey(ref.volumeId, ref, key), () => classOf(ring.dataKey(ref, key)));
}

/** The size of an object, asked of itself: by its last byte, or by all of it where its size is not known. */
async function sizeOf(store: BlobStore, key: string, stated: number | null): Promise<number> {
  if (stated === null) return (await store.get(key)).length;
  const end = await store.get(key, { start: stated - 1, length: 2 });
  if (end.length !== 1) throw new Fault('object_corrupt', 'A stored object is not as long as it was.');
  return stated;
}

/** Is a pack or bundle there, of its size? The listing says so at no cost; where it does not, the object itself is asked. */
function createContainerJudge(store: BlobStore, scope: VolumeScope, table: ObjectTable) {
  const listed = createMemo<void>();
  const once = createMemo<number | DamageClass>();
  return async (kind: ContainerKind, ref: ContainerRef, isSizeStated: boolean): Promise<number | DamageClass> => {
    if (ref.volumeId !== scope.volumeId) await listed(ref.volumeId, () => table.addListing(store, ref.volumeId)); // Blocks of another volume of the tenant.
    const { sizeBytes } = closedOf(ref);
    const size = table.listedSize(kind, ref);
    if (size !== null && (isSizeStated ? size === sizeBytes : size >= sizeBytes)) return size;
    const key = objectKeyOf(kind, ref);
    return once(`${key} ${isSizeStated}`, () =>
      sizeOf(store, key, isSizeStated ? sizeBytes : null).then(
        (found) => (found >= sizeBytes ? found : 'object_corrupt'),
        damageClassOf,
      ),
    );
  };
}

/** Judges by the listing, and notes in the table what the second look is to read. */
export function createJudges(parts: {
  store: BlobStore;
  scope: VolumeScope;
  table: ObjectTable;
  key: Judges['key'];
}): Judges {
  const { store, scope, table, key } = parts;
  const container = createContainerJudge(store, scope, table);
  const flawed = (damage: DamageClass): Flaw => ({ class: damage, slots: null });
  return {
    key,
    async bundle(ref, isSizeStated) {
      const found = await container('index', ref, isSizeStated);
      if (typeof found !== 'number') return flawed(found);
      const whole = { ...ref, closed: { ...closedOf(ref), sizeBytes: found } };
      return table.need('index', whole, 0, 0) ? null : flawed('object_corrupt');
    },
    async pack({ pack, blocks, points }) {
      const found = await container('packs', pack, true);
      if (typeof found !== 'number') return flawed(found);
      const slots = blocks.reduce((most, [, slot]) => Math.max(most, slot + 1), 0);
      const isOne = points.every(({ series }) => table.need('packs', pack, slots, series));
      return isOne ? null : flawed('object_corrupt');
    },
  };
}
