import { createSecretKey } from 'node:crypto';
import { Fault } from '../core/faults.ts';
import { equalBytes, fromHex, sha256 } from '../crypto/bytes.ts';
import { openSealedObject } from '../crypto/sealed-object.ts';
import { damageClassOf, type DamageClass } from './damage.ts';
import { headerOfTail, openDirectory } from './directory.ts';
import { contextOf, keyObjectKey, packKeyName, type VolumeScope } from './layout.ts';
import { createPackReader, type SealedBlock } from './pack-reader.ts';
import { closedOf, corrupt } from './places.ts';
import type { BlobStore } from './ports.ts';
import type { DataKeys } from './run-keys.ts';
import type { Series } from './verify-existence.ts';
import { type NeededObject, objectKeyOf } from './verify-table.ts';

/**
 * What became of reading an object. `slots`: those of its slots that do not open, null for all of them; none, where nothing is
 * damaged but what no point needs. `object`, when another object (its key) is to blame.
 */
export type Verdict = {
  blocks: number;
  damage: { class: DamageClass; slots: readonly number[] | null; object?: string } | null;
};

/** Reads and proves packs and bundles: one thread's share of a verification. Several may be under way. */
export type VerifyLane = {
  check(object: NeededObject): Promise<Verdict>;
  /** Waits for what is under way and forgets how it ended. */
  settle(): Promise<void>;
};

export type VerifyLaneDeps = { store: BlobStore; scope: VolumeScope; ring: DataKeys; series: readonly Series[] };

const flaw = (error: unknown, slots: readonly number[] | null = null): Verdict => ({
  blocks: 0,
  damage: { class: damageClassOf(error), slots },
});

/** Do the bytes have the digest that the object is named by? */
function assertNamed({ kind, ref }: NeededObject, bytes: Uint8Array): void {
  if (!equalBytes(sha256(bytes), fromHex(closedOf(ref).sha256)))
    throw corrupt(kind === 'packs' ? 'A stored pack' : 'A bundle of the manifest');
}

/** Every block of a pack, sealed, by its directory. @throws Fault `wrong_key`, `object_corrupt`, `unsupported_format` */
function slotsOf(object: NeededObject, bytes: Uint8Array, dataKey: Uint8Array, scope: VolumeScope): SealedBlock[] {
  const { ref } = object;
  const { sizeBytes, directoryOffset } = closedOf(ref);
  if (bytes.length !== sizeBytes || directoryOffset >= sizeBytes) throw corrupt('A stored pack');
  const tail = bytes.subarray(directoryOffset);
  const context = contextOf({ ...scope, volumeId: ref.volumeId }, ref, 'pack', ref.ordinal);
  const keys = openSealedObject(dataKey, headerOfTail(tail), context);
  const directory = openDirectory(keys, tail, directoryOffset);
  if (directory.length < object.slots) throw corrupt('A pack directory');
  return directory.map((entry, slot) => {
    const sealed = bytes.subarray(entry.offset, entry.offset + entry.lengthBytes);
    return { index: slot, slot, entry, sealed, keys };
  });
}

/** A lane in this thread. */
export function createVerifyLane({ store, scope, ring, series }: VerifyLaneDeps): VerifyLane {
  const packs = createPackReader({ store }, scope, ring);
  const known = series.map(({ idKey, blockBytes }) => ({ idKey: createSecretKey(idKey), blockBytes }));
  const flying = new Set<Promise<unknown>>();

  function checkSlots(object: NeededObject, slots: readonly SealedBlock[]): Verdict {
    const its = known[object.series];
    if (!its) throw new Fault('internal', 'A pack belongs to a lineage that nobody has told of.');
    const failed: number[] = [];
    let first: DamageClass | null = null;
    for (const block of slots) {
      try {
        packs.open(block, its.idKey, its.blockBytes);
      } catch (error) {
        first ??= damageClassOf(error);
        failed.push(block.slot);
      }
    }
    return { blocks: slots.length, damage: first === null ? null : { class: first, slots: failed } };
  }

  async function checkPack(object: NeededObject, bytes: Uint8Array): Promise<Verdict> {
    const { ref } = object;
    const keyName = packKeyName(ref.ordinal);
    let dataKey: Uint8Array;
    try {
      dataKey = await ring.dataKey(ref, keyName);
    } catch (error) {
      const keyObject = keyObjectKey(ref.volumeId, ref, keyName);
      return { blocks: 0, damage: { class: damageClassOf(error), slots: null, object: keyObject } };
    }
    try {
      return checkSlots(object, slotsOf(object, bytes, dataKey, scope));
    } catch (error) {
      return flaw(error);
    }
  }

  async function check(object: NeededObject): Promise<Verdict> {
    const { kind, ref } = object;
    let bytes: Uint8Array;
    try {
      bytes = await store.get(objectKeyOf(kind, ref), { start: 0, length: closedOf(ref).sizeBytes });
    } catch (error) {
      return flaw(error);
    }
    const verdict = kind === 'packs' ? await checkPack(object, bytes) : { blocks: 0, damage: null };
    if (verdict.damage) return verdict;
    try {
      assertNamed(object, bytes);
    } catch (error) {
      return { ...verdict, ...flaw(error, []) };
    }
    return verdict;
  }

  return {
    check(object) {
      const work = check(object);
      flying.add(work);
      const done = () => void flying.delete(work);
      work.then(done, done);
      return work;
    },
    settle: async () => void (await Promise.allSettled(flying)),
  };
}
