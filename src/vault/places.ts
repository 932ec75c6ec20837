import { Fault } from '../core/faults.ts';
import { type createByteReader, type createByteWriter, fromHex, toHex } from '../crypto/bytes.ts';
import { ATTEMPT_BYTES } from '../crypto/object-header.ts';
import { type Codec, isCodec } from './codec.ts';
import { type AttemptRef, isId, type ObjectRef } from './layout.ts';

type ByteReader = ReturnType<typeof createByteReader>;
type ByteWriter = ReturnType<typeof createByteWriter>;

export const DIGEST_BYTES = 32;

/** What is known of a pack or bundle once it is closed. `directoryOffset` is 0 for a bundle. */
export type Closed = { sizeBytes: number; directoryOffset: number; sha256: string };

/** A pack or bundle. `closed` is null while it is being filled; `volumeId` is the volume whose run wrote it. */
export type ContainerRef = AttemptRef & { volumeId: string; ordinal: number; closed: Closed | null };

/** A page of the manifest: where it lies in which bundle. */
export type PagePlace = { bundle: ContainerRef; slot: number; offset: number; lengthBytes: number; codec: Codec };

export const corrupt = (what: string) => new Fault('object_corrupt', `${what} is damaged.`);

/** What is known of a container that others refer to: it is closed by then. */
export function closedOf({ closed }: ContainerRef): Closed {
  if (!closed) throw new Fault('internal', 'Something refers to a stored object that is not closed.');
  return closed;
}

/** The name of a container that is closed. */
export const objectRefOf = (ref: ContainerRef): ObjectRef => ({ ...ref, sha256: closedOf(ref).sha256 });

export const containerName = ({ volumeId, runId, attempt, ordinal }: ContainerRef) =>
  `${volumeId}/${runId}/${attempt}/${ordinal}`;

/** Gives each distinct value a number in order of first appearance. */
function createTable<T>(nameOf: (value: T) => string) {
  const numbers = new Map<string, number>();
  const values: T[] = [];
  return {
    values,
    numberOf(value: T): number {
      const name = nameOf(value);
      const known = numbers.get(name);
      if (known !== undefined) return known;
      numbers.set(name, values.length);
      return values.push(value) - 1;
    },
  };
}

/** The tables of attempts and containers that leaves and nodes begin with. `own` is the manifest's volume. */
export function containerTables(own: string, containers: Iterable<ContainerRef>) {
  const attempts = createTable<ContainerRef>(({ volumeId, runId, attempt }) => `${volumeId}/${runId}/${attempt}`);
  const table = createTable(containerName);
  for (const container of containers) {
    attempts.numberOf(container);
    table.numberOf(container);
  }
  return {
    numberOf: (container: ContainerRef) => table.numberOf(container),
    write(writer: ByteWriter): void {
      writer.u16(attempts.values.length);
      for (const { volumeId, runId, attempt } of attempts.values) {
        writer.text(volumeId === own ? '' : volumeId);
        writer.text(runId);
        writer.bytes(fromHex(attempt));
      }
      writer.u16(table.values.length);
      for (const container of table.values) {
        const { sizeBytes, directoryOffset, sha256 } = closedOf(container);
        writer.u16(attempts.numberOf(container));
        writer.u32(container.ordinal);
        writer.u32(sizeBytes);
        writer.u32(directoryOffset);
        writer.bytes(fromHex(sha256));
      }
    },
  };
}

/** An entry of a table by its number. Throws Fault `object_corrupt` for a number beyond its end. */
export function entryOf<T>(table: readonly T[], number: number, what: string): T {
  const entry = table[number];
  if (entry === undefined) throw corrupt(what);
  return entry;
}

/** Reads what `containerTables` wrote. */
export function readContainers(reader: ByteReader, own: string, what: string): ContainerRef[] {
  const attempts = reader.table(() => {
    const [volume, runId] = [reader.text(), reader.text()];
    const volumeId = volume === '' ? own : volume;
    if (!isId(volumeId) || !isId(runId)) throw corrupt(what);
    return { volumeId, runId, attempt: toHex(reader.bytes(ATTEMPT_BYTES)) };
  });
  return reader.table(() => ({
    ...entryOf(attempts, reader.u16(), what),
    ordinal: reader.u32(),
    closed: { sizeBytes: reader.u32(), directoryOffset: reader.u32(), sha256: toHex(reader.bytes(DIGEST_BYTES)) },
  }));
}

export function writePagePlace(writer: ByteWriter, bundle: number, place: Omit<PagePlace, 'bundle'>): void {
  writer.u16(bundle);
  writer.u16(place.slot);
  writer.u32(place.offset);
  writer.u32(place.lengthBytes);
  writer.u8(place.codec);
}

export function readPagePlace(reader: ByteReader, bundles: readonly ContainerRef[], what: string): PagePlace {
  const bundle = entryOf(bundles, reader.u16(), what);
  const [slot, offset, lengthBytes, codec] = [reader.u16(), reader.u32(), reader.u32(), reader.u8()];
  if (!isCodec(codec)) throw new Fault('unsupported_format', `A stored page has the unknown codec ${codec}.`);
  if (offset + lengthBytes > closedOf(bundle).sizeBytes) throw corrupt(what);
  return { bundle, slot, offset, lengthBytes, codec };
}
