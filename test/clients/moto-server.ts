import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const STARTS_WITHIN_MS = 60_000;

/** A moto server on a free port of loopback; `stop` ends it. */
export async function startMoto(python: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const server = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', '0'], {
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(server, 'exit');
  const stop = async () => {
    server.kill();
    await ended;
  };
  const said: string[] = [];
  const tooLate = setTimeout(() => server.kill(), STARTS_WITHIN_MS);
  for await (const line of createInterface(server.stderr)) {
    said.push(line);
    const url = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (url === undefined) continue;
    clearTimeout(tooLate);
    // What it says from now on is read by nobody, and must not fill the pipe.
    server.stderr.resume();
    return { url, stop };
  }
  throw new Error(`moto did not start: ${said.join('\n').slice(-2_000)}`);
}
