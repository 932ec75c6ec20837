import { createServer } from 'node:net';
import { join } from 'node:path';
import { readJson, writePrivate } from './state-dir.ts';

function listen(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : null));
    });
  });
}

/**
 * A loopback port for each name: the one used last time where it is free, so that addresses in configurations stay true,
 * else any free one.
 */
export async function choosePorts<Name extends string>(
  dir: string,
  names: readonly Name[],
): Promise<Record<Name, number>> {
  const path = join(dir, 'ports.json');
  const before = readJson<Record<string, number>>(path) ?? {};
  const chosen: Record<string, number> = {};
  for (const name of names) {
    const kept = before[name] === undefined ? null : await listen(before[name]);
    const port = kept ?? (await listen(0));
    if (port === null) throw new Error('no free port on 127.0.0.1');
    chosen[name] = port;
  }
  writePrivate(path, `${JSON.stringify(chosen, null, 2)}\n`);
  return chosen as Record<Name, number>;
}
