import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { inVault } from '../../src/cell/jobs/vault-principals.ts';
import { hashVolume } from '../../src/stranger/ebs-reader.ts';
import type { World } from './world.ts';

/** A tenant's pair, and the file that the private half is kept in. */
export function makePair(dir: string): { privateFile: string; publicKey: string } {
  const pair = generateKeyPairSync('rsa', { modulusLength: 3_072 });
  const privateFile = join(dir, 'recovery-key.pem');
  writeFileSync(privateFile, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { privateFile, publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

/** Every object of a tenant's vault, by name, read as who may read it. */
export function copyVault(world: World, tenantId: string): Promise<Map<string, Uint8Array>> {
  return inVault(world.worker, { principal: 'restorer', tenantId }, async ({ store }) => {
    const objects = new Map<string, Uint8Array>();
    for await (const { key } of store.list('v1/')) objects.set(key, await store.get(key));
    return objects;
  });
}

/** The same as a plain folder. */
export function writeCopy(dir: string, objects: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, bytes] of objects) {
    const path = join(dir, 'objects', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
}

/** A tenant that sets a recovery key after its first backup, then backs up again: the point builds on one that was not sealed for it. */
export async function sealedForTenant(world: World, publicKey: string) {
  const who = await world.customer('222222222271');
  const tenant = await world.cell.newTenant();
  const connection = await world.connect(tenant, who);
  const backUp = async () => {
    const job = await world.backUp(tenant, connection.id, who.instanceId);
    expect(job).toMatchObject({ state: 'COMPLETED', problem: null });
    return String(job.id);
  };
  const earlier = await backUp();
  const set = await tenant.call('PUT', '/v1/tenant/recovery-key', { body: { publicKey } });
  expect(set.status).toBe(200);
  for (const volumeId of who.volumeIds) await who.write(volumeId, 500_000_000, 2_000_000);
  const later = await backUp();
  const [volumeId = ''] = who.volumeIds;
  const { sha256 } = await hashVolume(who.access, volumeId);
  return { tenantId: tenant.tenantId, volumeIds: who.volumeIds, volumeId, runs: { earlier, later }, sha256 };
}
