import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

const UP_TIMEOUT_MS = 240_000;

type Demo = {
  routerUrl: string;
  sandboxUrl: string;
  caFile: string;
  cells: Record<string, { url: string; operatorKey: string }>;
  tenants: { cell: string; tenantId: string; apiKey: string; connectionId: string; planId: string }[];
  accounts: { cell: string; awsRegion: string; instanceId: string; volumeIds: string[] }[];
};

let dir: string;
let child: ChildProcess;
let demo: Demo;

const start = (stateDir: string) =>
  spawn(process.execPath, ['src/local/main.ts', 'start', '--dir', stateDir], { stdio: ['ignore', 'ignore', 'pipe'] });
const exitOf = (process: ChildProcess) => new Promise<number | null>((done) => process.once('exit', done));

/** Processes whose command line names the state folder. */
function processesOf(stateDir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(stateDir);
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'start-'));
  child = start(dir);
  await vi.waitFor(() => expect(existsSync(join(dir, 'demo.json'))).toBe(true), {
    timeout: UP_TIMEOUT_MS,
    interval: 500,
  });
  demo = JSON.parse(readFileSync(join(dir, 'demo.json'), 'utf8')) as Demo;
}, UP_TIMEOUT_MS);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('the demo file is for its owner only and tells an outsider everything', () => {
  expect(statSync(join(dir, 'demo.json')).mode & 0o777).toBe(0o600);
  expect(demo.tenants.map((tenant) => tenant.cell).toSorted()).toEqual(['ca', 'eu', 'us']);
  expect(demo.accounts.every((account) => account.volumeIds.length === 2)).toBe(true);
});

test('every cell is ready, through the router and by itself', async () => {
  const dispatcher = new Agent({ connect: { ca: readFileSync(demo.caFile, 'utf8') } });
  for (const [cell, { url }] of Object.entries(demo.cells)) {
    expect((await fetch(`${demo.routerUrl}/readyz?cell=${cell}`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`, { dispatcher })).status).toBe(200);
  }
  await dispatcher.close();
});

test('a second start exits 73 and names the one that runs', async () => {
  const second = start(dir);
  let said = '';
  second.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  expect(await exitOf(second)).toBe(73);
  expect(said).toContain(String(child.pid));
});

test('a certificate is rotated under load without a failed request', async () => {
  const { url, operatorKey } = demo.cells['eu'] ?? { url: '', operatorKey: '' };
  const dispatcher = new Agent({ connections: 8, connect: { ca: readFileSync(demo.caFile, 'utf8') } });
  const headers = { authorization: `Bearer ${operatorKey}` };
  const serial = async () =>
    (
      (await (await fetch(`${url}/v1/operator/certificate`, { dispatcher, headers })).json()) as {
        serialNumber: string;
      }
    ).serialNumber;
  const before = await serial();
  let stop = false;
  const statuses: number[] = [];
  const client = async () => {
    while (!stop) statuses.push((await fetch(`${url}/healthz`, { dispatcher })).status);
  };
  const load = Promise.all(Array.from({ length: 6 }, client));
  for (let n = 0; n < 5; n += 1)
    expect((await fetch(`${url}/v1/operator/certificate/rotate`, { method: 'POST', dispatcher, headers })).status).toBe(
      200,
    );
  stop = true;
  await load;
  expect(statuses.length).toBeGreaterThan(20);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
  expect(await serial()).not.toBe(before);
  await dispatcher.close();
});

test('scheduled backups give recovery points in every cell', async () => {
  for (const { apiKey } of demo.tenants) {
    const headers = { authorization: `Bearer ${apiKey}` };
    const points = async () =>
      ((await (await fetch(`${demo.routerUrl}/v1/recovery-points`, { headers })).json()) as { items: unknown[] }).items;
    await vi.waitFor(async () => expect((await points()).length).toBeGreaterThan(0), {
      timeout: UP_TIMEOUT_MS,
      interval: 1_000,
    });
  }
});

test('an interrupt stops everything within five seconds and leaves no process', async () => {
  const ended = exitOf(child);
  const late = new Promise<string>((done) => setTimeout(() => done('late'), 5_000));
  child.kill('SIGINT');
  expect(await Promise.race([ended, late])).toBe(0);
  expect(processesOf(dir)).toEqual([]);
});

test('an interrupt while the disks are being filled does not wait for them', async () => {
  const other = mkdtempSync(join(tmpdir(), 'interrupt-'));
  const early = start(other);
  let said = '';
  early.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await vi.waitFor(() => expect(said).toContain('filling its disks'), { timeout: 60_000, interval: 100 });
  const ended = exitOf(early);
  const late = new Promise<string>((done) => setTimeout(() => done('late'), 5_000));
  early.kill('SIGINT');
  expect(await Promise.race([ended, late])).toBe(0);
  expect(processesOf(other)).toEqual([]);
  rmSync(other, { recursive: true, force: true });
});
