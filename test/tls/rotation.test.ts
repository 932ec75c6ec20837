import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPrivateCa, issueLeaf, type Pair } from '../../src/tls/certificates.ts';
import { createListenerTls, factsOf, type ListenerTls } from '../../src/tls/listener.ts';

const SWAPS = 12;
const KEPT_CLIENTS = 4;
const NEW_CLIENTS = 2;
const NAMES = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
const NOW = new Date();

let ca: Pair;
let pairs: Pair[];
let tls: ListenerTls;
let server: Server;
let port: number;

beforeAll(async () => {
  ca = await createPrivateCa({ commonName: 'Domicile test authority', now: NOW });
  pairs = await Promise.all(Array.from({ length: SWAPS + 1 }, () => issueLeaf(ca, { ...NAMES, now: NOW })));
  tls = createListenerTls(pairs[0]!, { caPem: ca.certPem });
  server = createServer(tls.serverOptions(), (incoming, answer) => {
    incoming.resume().on('end', () => answer.end('whole answer'));
  });
  tls.attach(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

type Tally = { served: number; failed: string[]; serials: Set<string> };

/** One request with a body; what it got, and the certificate that the connection was made under. */
function ask(agent: Agent, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    const outgoing = request({ agent, host: '127.0.0.1', port, method: 'POST' }, (incoming) => {
      const { serialNumber } = (incoming.socket as TLSSocket).getPeerCertificate();
      let text = '';
      incoming.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      incoming.on('close', () => {
        if (incoming.statusCode === 200 && text === 'whole answer' && incoming.complete) tally.served += 1;
        else tally.failed.push(`${incoming.statusCode} ${text}`);
        // A resumed session shows no certificate; those clients are of no use here and are made not to resume.
        tally.serials.add(serialNumber?.toLowerCase() ?? 'none');
        resolve();
      });
    });
    outgoing.on('error', (error) => {
      tally.failed.push(error.message);
      resolve();
    });
    outgoing.end('x'.repeat(2_000));
  });
}

function agentOf(keepAlive: boolean): Agent {
  return new Agent({ keepAlive, maxSockets: 1, ca: ca.certPem, maxCachedSessions: 0 });
}

/** Clients that ask without a pause until told to stop. */
function startLoad() {
  const tally: Tally = { served: 0, failed: [], serials: new Set() };
  const agents = [
    ...Array.from({ length: KEPT_CLIENTS }, () => agentOf(true)),
    ...Array.from({ length: NEW_CLIENTS }, () => agentOf(false)),
  ];
  let running = true;
  const clients = agents.map(async (agent) => {
    while (running) await ask(agent, tally);
  });
  return {
    tally,
    async stop() {
      running = false;
      await Promise.all(clients);
      for (const agent of agents) agent.destroy();
    },
  };
}

/** The serial number that a new connection is shown. */
async function serialShown(): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca: ca.certPem });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber.toLowerCase();
}

const serialOf = (pair: Pair) => factsOf(pair.certPem).serialNumber;

test('certificates change under load without one failed request, and new connections get the new one at once', async () => {
  const load = startLoad();
  const seen = (pair: Pair) =>
    expect.poll(() => [...load.tally.serials], { interval: 5, timeout: 10_000 }).toContain(serialOf(pair));
  await seen(pairs[0]!);
  for (const pair of pairs.slice(1)) {
    const servedBefore = load.tally.served;
    expect(tls.swap(pair, NOW).serialNumber).toBe(serialOf(pair));
    expect(await serialShown()).toBe(serialOf(pair));
    await seen(pair);
    await expect.poll(() => load.tally.served, { interval: 5, timeout: 10_000 }).toBeGreaterThan(servedBefore + 20);
  }
  await load.stop();
  expect(load.tally.failed).toEqual([]);
  expect(load.tally.serials.size).toBe(SWAPS + 1);
});

test('a connection opened before a swap lives on', async () => {
  const tally: Tally = { served: 0, failed: [], serials: new Set() };
  const agent = agentOf(true);
  const before = serialOf(pairs.at(-1)!);
  await ask(agent, tally);
  tls.swap(pairs[1]!, NOW);
  await ask(agent, tally);
  agent.destroy();
  expect(tally).toEqual({ served: 2, failed: [], serials: new Set([before]) });
  expect(await serialShown()).toBe(serialOf(pairs[1]!));
});

test('a bad pair is refused under load, and the old one stays', async () => {
  const foreignCa = await createPrivateCa({ commonName: 'Domicile test authority', now: NOW });
  const bad = [
    { ...pairs[2]!, keyPem: pairs[3]!.keyPem },
    await issueLeaf(foreignCa, { ...NAMES, now: NOW }),
    await issueLeaf(ca, { ...NAMES, now: new Date(NOW.getTime() - 10 * 86_400_000), days: 1 }),
    await issueLeaf(ca, { ...NAMES, now: new Date(NOW.getTime() + 86_400_000) }),
    { certPem: 'no PEM', keyPem: pairs[2]!.keyPem },
  ];
  const before = await serialShown();
  const load = startLoad();
  for (const pair of bad) {
    expect(() => tls.swap(pair, NOW)).toThrow('The new certificate was not taken');
    expect(await serialShown()).toBe(before);
  }
  await load.stop();
  expect(load.tally.failed).toEqual([]);
  expect(load.tally.serials).toEqual(new Set([before]));
});

test('a swapped listener still refuses TLS 1.1 and weak ciphers', async () => {
  tls.swap(pairs[4]!, NOW);
  const outcome = (options: { maxVersion?: 'TLSv1.1' | 'TLSv1.2'; minVersion?: 'TLSv1.1'; ciphers?: string }) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, ca: ca.certPem, ...options });
      socket.once('secureConnect', () => resolve(socket.getCipher().name)).once('error', () => resolve('refused'));
      socket.once('close', () => resolve('refused')).once('secureConnect', () => socket.destroy());
    });
  expect(await outcome({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })).toBe('refused');
  expect(await outcome({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })).toBe('refused');
  expect(await outcome({ maxVersion: 'TLSv1.2' })).toBe('ECDHE-RSA-AES256-GCM-SHA384');
  expect(await outcome({})).toBe('TLS_AES_256_GCM_SHA384');
});
