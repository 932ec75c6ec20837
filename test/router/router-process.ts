import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener } from 'node:http';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newApiKey } from '../../src/core/api-keys.ts';
import { createPrivateCa, issueLeaf } from '../../src/tls/certificates.ts';
import { createListenerTls } from '../../src/tls/listener.ts';

const MAIN = fileURLToPath(new URL('../../src/router/main.ts', import.meta.url));

/** The first line that a process prints. */
async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  while (!text.includes('\n')) {
    const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the router ended with ${code}`)));
    await Promise.race([once(child.stdout!, 'data'), ended]);
  }
  return text.slice(0, text.indexOf('\n'));
}

/** A cell behind HTTPS with a certificate of a private authority; `handler` is what it does. */
async function startHttpsCell(handler: RequestListener, dir: string) {
  const now = new Date();
  const ca = await createPrivateCa({ commonName: 'Domicile test authority', now });
  const leaf = await issueLeaf(ca, { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now });
  const server = createServer(createListenerTls(leaf, { caPem: ca.certPem }).serverOptions(), handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const caFile = join(dir, 'authority.pem');
  writeFileSync(caFile, ca.certPem);
  return { server, caFile, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** The real router in a process of its own, before a cell `eu` that does what `handler` says and a cell `us` that is down. */
export async function startRouterProcess(handler: RequestListener) {
  const dir = mkdtempSync(join(tmpdir(), 'router-'));
  const cell = await startHttpsCell(handler, dir);
  const keyFile = join(dir, 'signing.json');
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(keyFile, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'router-1' }), { mode: 0o600 });
  const env = {
    PORT: '0',
    CELLS: JSON.stringify({ eu: cell.url, us: 'https://127.0.0.1:1', ca: cell.url.replace('127.0.0.1', '127.0.0.2') }),
    ROUTER_SIGNING_KEY_FILE: keyFile,
    CELL_CA_FILE: cell.caFile,
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const { url } = JSON.parse(await firstLine(child)) as { url: string };
  return {
    url,
    pid: child.pid ?? 0,
    async stop(): Promise<number | null> {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const [code] = (await exited) as [number | null];
      cell.server.closeAllConnections();
      cell.server.close();
      rmSync(dir, { recursive: true });
      return code;
    },
  };
}

export type RouterProcess = Awaited<ReturnType<typeof startRouterProcess>>;

/** A request to the router with a key of `cell`, its body still to be written; and the answer to it. */
export function open(router: RouterProcess, options: { method: string; path: string; cell?: string }) {
  const headers = { authorization: `Bearer ${newApiKey('dk', options.cell ?? 'eu').key}` };
  const outgoing = request(new URL(options.path, router.url), { method: options.method, headers, agent: false });
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).on('error', reject);
  });
  return { outgoing, answer };
}

export async function textOf(message: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of message.setEncoding('utf8')) text += part;
  return text;
}
