import { createSecureContext } from 'node:tls';
import { lineError } from './answers.ts';
import { type Connection, openConnection } from './connection.ts';
import type { Wire, WireAnswer, WireRequest } from './wire.ts';

type WireOptions = { connectTimeoutMs: number; requestTimeoutMs: number; connections: number };
/** A request that waits for a connection, or for nothing any more (`left`: its time is over). */
type Waiting = { begin: (connection: Connection) => void; left: boolean };

/** Connections to one origin: the one used last is used next, so that a smaller load lets the others go. */
function openPool(origin: URL, { connectTimeoutMs, connections: most }: WireOptions) {
  const idle: Connection[] = [];
  const all = new Set<Connection>();
  const waiting: Waiting[] = [];
  // Read once: for each connection anew it would cost as much as its handshake.
  const secureContext = origin.protocol === 'https:' ? createSecureContext() : undefined;

  function serve(): void {
    for (;;) {
      while (waiting[0]?.left) waiting.shift();
      const [next] = waiting;
      if (!next) return;
      const connection = takeOne();
      if (connection === null) return;
      waiting.shift();
      next.begin(connection);
    }
  }
  function takeOne(): Connection | null {
    for (let connection = idle.pop(); connection; connection = idle.pop()) {
      if (connection.isOpen()) return connection;
      all.delete(connection);
    }
    if (all.size >= most) return null;
    const connection = openConnection(origin, { connectTimeoutMs, secureContext });
    all.add(connection);
    return connection;
  }
  return {
    wait(one: Waiting): void {
      waiting.push(one);
      serve();
    },
    /** A connection whose request is over. */
    release(connection: Connection): void {
      if (connection.isOpen()) idle.push(connection);
      else all.delete(connection);
      serve();
    },
    destroy(): void {
      for (const connection of all) connection.destroy();
    },
  };
}

type Pool = ReturnType<typeof openPool>;

function exchangeIn(pool: Pool, request: WireRequest, requestTimeoutMs: number): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    let used: Connection | null = null;
    const late = setTimeout(() => {
      const error = lineError('TimeoutError', `No answer within ${requestTimeoutMs} ms.`);
      one.left = true;
      if (used === null) reject(error);
      else used.destroy(error);
    }, requestTimeoutMs);
    const one: Waiting = {
      left: false,
      begin(connection) {
        used = connection;
        void connection
          .exchange(request)
          .then(resolve, reject)
          .finally(() => {
            clearTimeout(late);
            pool.release(connection);
          });
      },
    };
    pool.wait(one);
  });
}

/**
 * Requests over HTTP/1.1 on connections that are kept: written for bodies of 512 KiB, where Node's own clients spend
 * more on a body's pieces than the engine on its hash. Bodies go into one buffer of their announced
 * length; nothing is decoded, redirected or tried again. One deadline covers waiting for a connection, head and body.
 *
 * @throws Error `TimeoutError`, `ECONNRESET`, `ECONNREFUSED`, …: what the line did, in `name`
 */
export function openWire(options: WireOptions): Wire {
  const pools = new Map<string, Pool>();
  return {
    exchange(request) {
      const pool = pools.get(request.origin) ?? openPool(new URL(request.origin), options);
      pools.set(request.origin, pool);
      return exchangeIn(pool, request, options.requestTimeoutMs);
    },
    destroy() {
      for (const pool of pools.values()) pool.destroy();
      pools.clear();
    },
  };
}
