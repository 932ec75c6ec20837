import { createServer, type Server } from 'node:https';
import type { Hono } from 'hono';
import { serve } from '@hono/node-server';
import type { Clock } from '../core/clock.ts';
import { Fault } from '../core/faults.ts';
import { issueLeaf } from '../tls/certificates.ts';
import { readPair, writePair } from '../tls/files.ts';
import { createListenerTls } from '../tls/listener.ts';
import type { ApiEnv } from './api/env.ts';
import type { CellConfig } from './config.ts';
import type { Certificates } from './services/certificates.ts';

/** The listener's certificate: what is in use, and a new one in its place without dropping a connection. */
export function createCertificates(config: CellConfig, clock: Clock) {
  const files = { certFile: config.TLS_CERT_FILE, keyFile: config.TLS_KEY_FILE };
  const caKeyFile = config.TLS_CA_KEY_FILE;
  const ca = caKeyFile === undefined ? null : readPair({ certFile: config.TLS_CA_CERT_FILE, keyFile: caKeyFile });
  const tls = createListenerTls(readPair(files), { caPem: ca?.certPem ?? null });
  const certificates: Certificates = {
    current: () => tls.current(),
    async rotate() {
      if (!ca)
        throw new Fault('conflict', 'This cell holds no authority; its certificate is renewed where it was issued.');
      const { hostname } = new URL(config.PUBLIC_URL);
      const isAddress = /^[\d.]+$/.test(hostname);
      const now = clock.now();
      const pair = await issueLeaf(ca, {
        dnsNames: isAddress ? ['localhost'] : [hostname, 'localhost'],
        ipAddresses: isAddress ? [hostname] : ['127.0.0.1'],
        now,
      });
      const facts = tls.swap(pair, now);
      writePair(files, pair);
      return facts;
    },
  };
  return { tls, certificates };
}

/** Starts the HTTPS listener. Resolves with the port when it listens. */
export function listen(
  app: Hono<ApiEnv>,
  config: CellConfig,
  tls: ReturnType<typeof createListenerTls>,
): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = serve(
      {
        fetch: app.fetch,
        hostname: config.LISTEN_HOST,
        port: config.LISTEN_PORT,
        createServer,
        serverOptions: tls.serverOptions(),
      },
      ({ port }) => resolve({ server: server as Server, port }),
    );
    tls.attach(server as Server);
    server.once('error', reject);
  });
}
