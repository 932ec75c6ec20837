import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdirSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of a block of the EBS direct APIs. */
export const BLOCK_BYTES = 524_288;

/** A disk or an image of one: which stored block stands at which index. Absent indexes were never written. */
export type BlockMap = Map<number, number>;

const SPARE_MAX = 64;

type Slot = { sha256: string; references: number };

/**
 * Blocks on disk, in one file of equal slots. A slot is stored once for equal contents and shared by every map that
 * refers to it, so that a snapshot costs no copy. A slot that becomes free is used again only after the next save: until
 * then the state on disk may still refer to it, and a crash must not find other bytes there.
 */
export class BlockStore {
  private readonly dir: string;
  private readonly slots: (Slot | null)[];
  private readonly bySha256 = new Map<string, number>();
  private free: number[] = [];
  private freedSinceSave: number[] = [];
  /** Writes under way: whoever finds the same content stored waits until it is. */
  private readonly writing = new Map<number, Promise<unknown>>();
  private readonly spare: Buffer[] = [];
  private file: Promise<FileHandle> | null = null;

  /** Opens the store; only slots that one of these maps refers to still count. */
  constructor(dir: string, maps: Iterable<BlockMap>) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const index = join(dir, 'slots.json');
    const digests: (string | null)[] = existsSync(index) ? JSON.parse(readFileSync(index, 'utf8')) : [];
    this.slots = digests.map((sha256) => (sha256 === null ? null : { sha256, references: 0 }));
    for (const map of maps) for (const slot of map.values()) this.retain(slot);
    for (const [slot, held] of this.slots.entries()) {
      if (held && held.references > 0) this.bySha256.set(held.sha256, slot);
      else {
        this.slots[slot] = null;
        this.free.push(slot);
      }
    }
  }

  private handle(): Promise<FileHandle> {
    this.file ??= open(join(this.dir, 'blocks.dat'), existsSync(join(this.dir, 'blocks.dat')) ? 'r+' : 'w+', 0o600);
    return this.file;
  }

  /** Stores a block (or finds it stored) and counts one reference for the caller. */
  async put(bytes: Buffer, sha256 = createHash('sha256').update(bytes).digest('base64')): Promise<number> {
    const known = this.bySha256.get(sha256);
    if (known !== undefined) {
      this.retain(known);
      await this.writing.get(known);
      return known;
    }
    const slot = this.free.pop() ?? this.slots.length;
    this.slots[slot] = { sha256, references: 1 };
    this.bySha256.set(sha256, slot);
    const write = this.handle().then((file) => file.write(bytes, 0, BLOCK_BYTES, slot * BLOCK_BYTES));
    this.writing.set(slot, write);
    await write;
    this.writing.delete(slot);
    return slot;
  }

  async get(slot: number): Promise<Buffer> {
    const bytes = this.spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    await (await this.handle()).read(bytes, 0, BLOCK_BYTES, slot * BLOCK_BYTES);
    return bytes;
  }

  /** Takes back a buffer that `get` gave and that nobody looks at any more: fresh memory costs more than the read. */
  recycle(bytes: Buffer): void {
    if (this.spare.length < SPARE_MAX) this.spare.push(bytes);
  }

  /** SHA-256 of a stored block, in base 64 as the EBS direct APIs send it. */
  sha256(slot: number): string {
    return this.slots[slot]?.sha256 ?? '';
  }

  retain(slot: number): void {
    const held = this.slots[slot];
    if (held) held.references += 1;
  }

  release(slot: number): void {
    const held = this.slots[slot];
    if (!held) return;
    held.references -= 1;
    if (held.references > 0) return;
    this.bySha256.delete(held.sha256);
    this.slots[slot] = null;
    this.freedSinceSave.push(slot);
  }

  /** A second map of the same blocks: how a snapshot or a volume from a snapshot begins. */
  share(map: BlockMap): BlockMap {
    for (const slot of map.values()) this.retain(slot);
    return new Map(map);
  }

  releaseAll(map: BlockMap): void {
    for (const slot of map.values()) this.release(slot);
    map.clear();
  }

  /** What the state file must hold; `saved` is called once it is on disk, and frees the slots for use. */
  save(): { write(): void; saved(): void } {
    const freed = this.freedSinceSave;
    this.freedSinceSave = [];
    const text = JSON.stringify(this.slots.map((slot) => slot?.sha256 ?? null));
    const path = join(this.dir, 'slots.json');
    return {
      write: () => {
        writeFileSync(`${path}.new`, text, { mode: 0o600 });
        renameSync(`${path}.new`, path);
      },
      saved: () => {
        for (const slot of freed) this.free.push(slot);
      },
    };
  }

  async close(): Promise<void> {
    await (await this.file)?.close();
    this.file = null;
  }
}
