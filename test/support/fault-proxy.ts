import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy before a server, which breaks connections when a test says so. */
export async function startFaultProxy(target: { host: string; port: number }) {
  const pairs = new Set<{ client: Socket; server: Socket }>();
  let holed = false;
  const listener = createServer((client) => {
    const server = connect(target);
    const pair = { client, server };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    client.on('data', (chunk) => {
      if (!holed) server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (!holed) client.write(chunk);
    });
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  const address = listener.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    /** Resets every connection, as a crashed peer or a firewall does. */
    reset() {
      for (const { client, server } of pairs) {
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
      pairs.clear();
    },
    /** From now on nothing gets through, and nobody is told. */
    blackHole(on: boolean) {
      holed = on;
    },
    close() {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      return new Promise((done) => listener.close(done));
    },
  };
}
