import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { onboardCustomer, createMinutePlan, useDisks, type DemoTenant } from './customer.ts';
import { createApiClient, until } from './api-client.ts';
import { hashRestored, hashSources, type Point, restore } from './comparison.ts';
import { readJson, writePrivate } from './state-dir.ts';
import type { System } from './system.ts';

const FIRST_POINT_TIMEOUT_MS = 15 * 60_000;
const ACTIVITY_EVERY_MS = 60_000;

type Say = (text: string) => void;

const tenantFile = (dir: string, cell: string) => join(dir, `tenant-${cell}.json`);

/** The demo tenant of a cell with its plan: made at the first start, continued at every other. */
async function ensureTenant(system: System, dir: string, cell: string, say: Say): Promise<DemoTenant> {
  const file = tenantFile(dir, cell);
  const known = readJson<DemoTenant>(file);
  if (known?.planId) return known;
  const region = system.regions.find((candidate) => candidate.cell === cell);
  if (!region) throw new Error(`no region ${cell}`);
  const operatorKey = system.cells[cell]?.operatorKey ?? '';
  const { control, routerUrl } = system;
  const tenant = known ?? (await onboardCustomer({ region, control, routerUrl, operatorKey, image: null, say }));
  writePrivate(file, JSON.stringify(tenant));
  const planned = { ...tenant, planId: await createMinutePlan(routerUrl, tenant) };
  writePrivate(file, JSON.stringify(planned));
  return planned;
}

/** What an outsider needs to drive the demo by hand, in one file that only its owner reads. */
function writeDemoFile(system: System, dir: string, tenants: readonly DemoTenant[]): void {
  const demo = {
    routerUrl: system.routerUrl,
    sandboxUrl: system.control.url,
    caFile: system.caFile,
    cells: system.cells,
    tenants: tenants.map(({ cell, tenantId, apiKey, connectionId, planId }) => ({
      cell,
      tenantId,
      apiKey,
      connectionId,
      planId,
    })),
    accounts: tenants.map(({ cell, account }) => ({ cell, ...account })),
  };
  writePrivate(join(dir, 'demo.json'), `${JSON.stringify(demo, null, 2)}\n`);
}

async function newestPoint(routerUrl: string, tenant: DemoTenant): Promise<Point | null> {
  const { items } = await createApiClient(routerUrl, tenant.apiKey)<{ items: Point[] }>(
    'GET',
    '/v1/recovery-points?limit=1',
  );
  return items[0] ?? null;
}

/** Restores the newest point of a cell once beside its source, and compares every byte of every volume. */
async function proveRestore(system: System, tenant: DemoTenant, signal: AbortSignal, say: Say): Promise<void> {
  const { routerUrl, control } = system;
  say('waiting for the first scheduled backup (at the full minute)');
  await until(
    () => newestPoint(routerUrl, tenant),
    (point) => point !== null,
    { what: 'first scheduled backup', timeoutMs: FIRST_POINT_TIMEOUT_MS, signal },
  );
  // The next backup may drop the snapshot while it is being read: then the point after it is as good.
  for (let attempt = 1; ; attempt += 1) {
    const point = await newestPoint(routerUrl, tenant);
    try {
      if (!point) throw new Error('no recovery point');
      const sources = await hashSources(control, tenant, point);
      say(`${point.id} (${point.kind}) is stored; restoring it into new volumes`);
      const restored = await hashRestored(control, tenant, await restore(routerUrl, tenant, point.id));
      const wrong = [...sources].filter(([volumeId, sha256]) => restored.get(volumeId) !== sha256);
      if (wrong.length > 0) return say(`RESTORE DIFFERS for ${wrong.map(([volumeId]) => volumeId).join(', ')}`);
      const gib = point.volumes.reduce((sum, volume) => sum + volume.volumeBytes, 0) / 2 ** 30;
      return say(`restored ${point.id}: ${sources.size} volumes, ${gib} GiB compared, every byte equal`);
    } catch (error) {
      if (attempt === 3 || signal.aborted) throw error;
    }
  }
}

function copyPaste(system: System, dir: string): string {
  const demo = join(dir, 'demo.json');
  return `
  Router        ${system.routerUrl}
  API reference ${system.routerUrl}/reference
  Sandbox AWS   ${system.control.url}
  Credentials   ${demo}

  Try it:
    npm exec domicile -- login --demo eu
    npm exec domicile -- recovery-points list
    npm exec domicile -- jobs list
    npm exec domicile -- instances list

    KEY=$(node -p "require('${demo}').tenants.find(t => t.cell === 'eu').apiKey")
    curl -s ${system.routerUrl}/v1/recovery-points -H "authorization: Bearer $KEY"
    curl -s ${system.routerUrl}/v1/regions
`;
}

/**
 * `npm start`: demo tenants in every cell, backed up every minute on schedule; one restore per cell proved; then serves
 * until `signal`.
 */
export async function serveDemo(system: System, dir: string, signal: AbortSignal, say: Say): Promise<void> {
  if (signal.aborted) return;
  const over = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
  const ready = Promise.all(
    system.regions.map(({ cell }) => ensureTenant(system, dir, cell, (text) => say(`${cell}: ${text}`))),
  );
  // Filling disks takes a while: an interrupt does not wait for it.
  const tenants = await Promise.race([ready, over]);
  if (!tenants) return;
  writeDemoFile(system, dir, tenants);
  say(copyPaste(system, dir));
  const proofs = tenants.map((tenant) =>
    proveRestore(system, tenant, signal, (text) => say(`${tenant.cell}: ${text}`)).catch((error: unknown) => {
      if (!signal.aborted) say(`${tenant.cell}: ${error instanceof Error ? error.message : 'failed'}`);
    }),
  );
  const activity = setInterval(() => {
    const seed = systemClock.now().toISOString();
    for (const tenant of tenants) void useDisks(system.control, tenant, seed).catch(() => {}); // the sandbox is stopping
  }, ACTIVITY_EVERY_MS);
  void Promise.all(proofs).then(() => {
    if (!signal.aborted) say('serving; a backup every minute; Ctrl-C stops everything');
  });
  await Promise.race([
    over,
    system.failed.then((name) => Promise.reject(new Error(`${name} ended unexpectedly; see ${join(dir, 'logs')}`))),
  ]);
  clearInterval(activity);
}
