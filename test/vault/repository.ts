import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createMemoryStore } from '../../src/vault/memory.ts';

/** The published fixture repositories and `vectors.json`. */
export const DIR = join(import.meta.dirname, '../vectors/v1');
const bytes = (hex: string) => Buffer.from(hex, 'hex');

export type Point = { repository: string; volume: string; point: string };
type Change = {
  op: string;
  object?: string;
  at?: number;
  mask?: number;
  bytes?: number;
  hex?: string | null;
  from?: string;
  to?: string;
  cell?: string;
  tenant?: string;
};

/** A fixture repository in memory, fit to be damaged. */
export function openRepository(name: string) {
  const root = join(DIR, name, 'objects');
  const store = createMemoryStore();
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    store.objects.set(relative(root, path), new Uint8Array(readFileSync(path)));
  }
  const keys = JSON.parse(readFileSync(join(DIR, name, 'KEYS.json'), 'utf8'));
  return { store, keys };
}

/** Changes a repository as a case of `vectors.json` says. */
export function applyTo({ store: { objects }, keys }: ReturnType<typeof openRepository>, change: Change): void {
  const { op, object = '' } = change;
  const data = Buffer.from(objects.get(object) ?? []);
  const at = (place: number) => (place < 0 ? data.length + place : place);
  if (op === 'flip') {
    data[at(change.at!)]! ^= change.mask!;
    objects.set(object, data);
  } else if (op === 'truncate') objects.set(object, data.subarray(0, at(change.bytes!)));
  else if (op === 'append') objects.set(object, Buffer.concat([data, bytes(change.hex!)]));
  else if (op === 'replace') objects.set(object, bytes(change.hex!));
  else if (op === 'delete') objects.delete(object);
  else if (op === 'copy') objects.set(change.to!, objects.get(change.from!)!);
  else if (op === 'key' && change.hex) keys.keys[object] = change.hex;
  else if (op === 'key') delete keys.keys[object];
  else if (op === 'scope') Object.assign(keys, change);
  else throw new Error(`unknown change ${op}`);
}
