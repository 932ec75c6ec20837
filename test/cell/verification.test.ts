import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { regionOf } from '../../regions/index.ts';
import { createAwsClients } from '../../src/aws/clients.ts';
import { inTenant } from '../../src/cell/db/tenancy.ts';
import { vaultVerifications } from '../../src/cell/db/schema/verifications.ts';
import {
  CLAIM_MS,
  claimVerification,
  forgetOthers,
  recordVerification,
  type VerificationKind,
} from '../../src/cell/jobs/verification/claim.ts';
import { settleDamage } from '../../src/cell/jobs/verification/damage.ts';
import type { Worker } from '../../src/cell/jobs/worker.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Damage } from '../../src/vault/damage.ts';
import { NEW_CURSOR } from '../../src/vault/verify-cursor.ts';
import { connected, pointOf, VOLUMES } from './fixtures.ts';
import { type Cell, startCell, type Tenant } from './harness.ts';

const HOUR_MS = 3_600_000;
const MANIFEST = 'tenants/x/manifests/1';
const damaged = (object: string, ...manifestKeys: string[]): Damage => ({
  class: 'object_corrupt',
  object,
  volumeId: VOLUMES[0],
  points: manifestKeys.map((manifestKey) => ({ manifestKey, blocks: 3, firstBlock: 17 })),
});

describe('what is known of damage', () => {
  const at = new Date('2026-03-01T00:00:00.000Z');
  const later = new Date('2026-03-02T00:00:00.000Z');
  const manifestKeys = new Set(['m1', 'm2']);
  const none = { existence: [], read: [] };

  test('is new once, keeps the time when it was found first, and ends once', () => {
    const first = settleDamage(none, { read: [damaged('a', 'm1')] }, { at, manifestKeys });
    expect(first.news.map(({ object, foundAt }) => [object, foundAt])).toEqual([['a', at.toISOString()]]);
    const second = settleDamage(first.known, { read: [damaged('a', 'm1', 'm2')] }, { at: later, manifestKeys });
    expect(second).toMatchObject({ news: [], over: [] });
    expect(second.known.read).toMatchObject([{ foundAt: at.toISOString(), points: [{}, {}] }]);
    const third = settleDamage(second.known, { read: [] }, { at: later, manifestKeys });
    expect(third).toEqual({ known: none, news: [], over: ['a'] });
  });

  test('is not new when the other look finds it too, nor told twice of one object', () => {
    const read = settleDamage(none, { read: [damaged('a', 'm1')] }, { at, manifestKeys });
    const both = settleDamage(read.known, { existence: [damaged('a', 'm1')] }, { at: later, manifestKeys });
    expect(both).toMatchObject({ news: [], over: [], known: { existence: [{ foundAt: at.toISOString() }], read: [] } });
  });

  test('says nothing of points that are gone', () => {
    const found = settleDamage(
      none,
      { read: [damaged('a', 'm1', 'gone'), damaged('b', 'gone')] },
      { at, manifestKeys },
    );
    expect(found.known.read.map(({ object, points }) => [object, points.length])).toEqual([['a', 1]]);
  });

  test('is cut off where it is too much, but leaves no damaged point out', () => {
    const lost = [...Array.from({ length: 700 }, (_, n) => damaged(`pack-${n}`, 'm1')), damaged('last', 'm2')];
    const { known, news } = settleDamage(none, { existence: lost }, { at, manifestKeys });
    expect(known.existence).toHaveLength(501);
    expect(known.existence.at(-1)?.object).toBe('last');
    expect(news).toHaveLength(501);
  });
});

describe('a volume is verified by one worker at a time', () => {
  let cell: Cell;
  let worker: Worker;
  beforeAll(async () => {
    cell = await startCell();
    const region = regionOf('eu');
    if (!region) throw new Error('no eu');
    worker = {
      region,
      db: cell.database.worker,
      clock: cell.clock,
      log: silentLogger,
      enqueue: async () => {},
      aws: createAwsClients({ region, credentials: { accessKeyId: 'x', secretAccessKey: 'x' }, endpoints: {} }),
      endpoints: {},
      vault: { bucket: 'b', bucketOwner: '111111111111', dataKeyArn: 'arn:aws:kms:eu-central-1:111111111111:key/x' },
      lanes: null,
    };
  });
  afterAll(() => cell.close());

  async function stored(): Promise<{ tenant: Tenant; pointId: string; tenantId: string; volumeId: string }> {
    const tenant = await cell.newTenant();
    const pointId = await pointOf(cell, tenant, await connected(cell, tenant));
    return { tenant, pointId, tenantId: tenant.tenantId, volumeId: VOLUMES[0] };
  }
  const claim = (volume: { tenantId: string; volumeId: string }, kind: VerificationKind = 'existence') =>
    claimVerification(worker.db, volume, kind, cell.clock.now());
  const shown = async (tenant: Tenant, pointId: string) =>
    (await tenant.call('GET', `/v1/recovery-points/${pointId}`)).json.verification;

  test('of many that ask at once, one gets it', async () => {
    const volume = await stored();
    const claims = await Promise.all(Array.from({ length: 5 }, () => claim(volume)));
    expect(claims.filter((one) => one !== null)).toHaveLength(1);
    // Nor does somebody get it who wants to do the other half.
    expect(await claim(volume, 'reading')).toBeNull();
  });

  test('who was given up for dead changes nothing', async () => {
    const volume = await stored();
    const first = await claim(volume);
    cell.clock.advance(CLAIM_MS + 1);
    const second = await claim(volume);
    const cursor = { ...NEW_CURSOR, round: 7 };
    await recordVerification(worker, second!.claim, { cursor });
    const late = recordVerification(worker, first!.claim, { cursor: NEW_CURSOR }, { read: [damaged('a', MANIFEST)] });
    await expect(late).rejects.toMatchObject({ code: 'stale_claim' });
    const [row] = await inTenant(worker.db, volume.tenantId, (tx) => tx.select().from(vaultVerifications));
    expect(row).toMatchObject({ cursor, readDamage: [] });
  });

  test('each half is due a day after it was done last', async () => {
    const volume = await stored();
    const first = await claim(volume, 'reading');
    const done = { readAt: cell.clock.now(), existenceAt: cell.clock.now(), claimedUntil: null };
    await recordVerification(worker, first!.claim, done);
    cell.clock.advance(19 * HOUR_MS);
    expect(await claim(volume)).toBeNull();
    cell.clock.advance(2 * HOUR_MS);
    expect(await claim(volume, 'reading')).toBeNull();
    const again = await claim(volume);
    await recordVerification(worker, again!.claim, { claimedUntil: null });
    cell.clock.advance(3 * HOUR_MS);
    expect(await claim(volume, 'reading')).not.toBeNull();
  });

  test('what it found is shown with the point, in one event, and to nobody else', async () => {
    const { tenant, pointId, ...volume } = await stored();
    expect(await shown(tenant, pointId)).toBeNull();
    const other = await stored();
    const taken = await claim(volume);
    cell.clock.advance(1_000);
    const existenceAt = cell.clock.now();
    await recordVerification(worker, taken!.claim, { existenceAt }, { existence: [damaged('v1/x', MANIFEST)] });
    await recordVerification(worker, taken!.claim, { existenceAt }, { existence: [damaged('v1/x', MANIFEST)] });
    const damage = {
      volumeId: volume.volumeId,
      class: 'object_corrupt',
      object: 'v1/x',
      foundAt: existenceAt.toISOString(),
      blocks: 3,
      firstBlock: 17,
    };
    // The point has a second volume, and that was not looked at yet.
    expect(await shown(tenant, pointId)).toEqual({ lastExistence: null, lastBytes: null, damage: [damage] });
    const events = (await tenant.call('GET', '/v1/audit-events?action=vault.damage_found')).json.items;
    expect(events).toMatchObject([{ resource: volume.volumeId, details: { object: 'v1/x', points: 1 } }]);
    expect(await shown(other.tenant, other.pointId)).toBeNull();
  });

  test('a point says what was done since it was there, for all of its volumes', async () => {
    const { tenant, pointId, tenantId } = await stored();
    cell.clock.advance(HOUR_MS);
    const earliest = cell.clock.now();
    for (const volumeId of VOLUMES) {
      const taken = await claim({ tenantId, volumeId });
      const now = cell.clock.now();
      const cursor = { ...NEW_CURSOR, since: now.toISOString() };
      await recordVerification(worker, taken!.claim, { existenceAt: now, cursor });
      cell.clock.advance(HOUR_MS);
    }
    const since = earliest.toISOString();
    expect(await shown(tenant, pointId)).toEqual({ lastExistence: since, lastBytes: since, damage: [] });
    const newer = await pointOf(cell, tenant, await connected(cell, tenant));
    expect(await shown(tenant, newer)).toEqual({ lastExistence: null, lastBytes: null, damage: [] });
  });

  test('a volume that has nothing in the vault any more is forgotten', async () => {
    const volume = await stored();
    const { tenantId } = volume;
    const taken = await claim(volume);
    await inTenant(worker.db, tenantId, (tx) => forgetOthers(tx, tenantId, [VOLUMES[1]]));
    await expect(recordVerification(worker, taken!.claim, {})).rejects.toMatchObject({ code: 'stale_claim' });
    expect(await inTenant(worker.db, tenantId, (tx) => tx.select().from(vaultVerifications))).toEqual([]);
  });
});
