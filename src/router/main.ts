import { serve } from '@hono/node-server';
import { Agent, type RequestInit as UndiciInit, fetch as undiciFetch } from 'undici';
import { systemClock } from '../core/clock.ts';
import { createLogger } from '../core/log.ts';
import { createRouter } from './app.ts';
import { readConfig, type RouterConfig } from './config.ts';

const CONFIGURATION_EXIT = 78;

function read(): RouterConfig {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : 'wrong configuration'}\n`);
    process.exit(CONFIGURATION_EXIT);
  }
}

/**
 * Node's fetch with the private CA of the cells, and without time limits on bodies: event streams stay open for hours. For
 * the same reason there is no limit of connections: a tenant's streams would keep every other tenant of the cell waiting.
 */
function reach(cellCa: string | null) {
  const dispatcher = new Agent({
    bodyTimeout: 0,
    ...(cellCa === null ? {} : { connect: { ca: cellCa } }),
  });
  return async (request: Request): Promise<Response> => {
    const { method, headers, body, signal } = request;
    const init: UndiciInit = {
      method,
      headers: [...headers],
      signal,
      redirect: 'manual',
      dispatcher,
      ...(body ? { body: body as unknown as NonNullable<UndiciInit['body']>, duplex: 'half' as const } : {}),
    };
    return (await undiciFetch(request.url, init)) as unknown as Response;
  };
}

type NodeEnv = { incoming?: { socket: { remoteAddress?: string } } };

/** The adapter tells the console of every stream that breaks, with addresses and traces: one line without them instead. */
function quietenAdapter(): void {
  const log = createLogger();
  const told = (error: unknown) => log.log('warn', 'stream.broken', {}, error);
  Object.assign(globalThis.console, { error: told, info: told });
}

const config = read();
quietenAdapter();
const app = createRouter({
  cells: config.cells,
  signingKey: config.signingKey,
  clock: systemClock,
  fetch: reach(config.cellCa),
  clientAddress: (_, env) => (env as NodeEnv).incoming?.socket.remoteAddress ?? 'unknown',
});
const server = serve({ fetch: app.fetch, hostname: config.host, port: config.port }, ({ port }) => {
  process.stdout.write(`${JSON.stringify({ url: `http://${config.host}:${port}` })}\n`);
});

const stop = () => {
  server.close(() => process.exit(0));
  if ('closeAllConnections' in server) server.closeAllConnections();
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
