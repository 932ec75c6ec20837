import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { type AnswerReader, lineError, readAnswer } from './answers.ts';
import type { WireAnswer, WireRequest } from './wire.ts';

/** One connection: one request at a time, and none after the first thing that went wrong. */
export type Connection = {
  exchange(request: WireRequest): Promise<WireAnswer>;
  /** May another request be sent? */
  isOpen(): boolean;
  destroy(error?: Error): void;
};

/** Heads and short bodies land in one buffer for the life of a connection: no allocation for each piece. */
const READ_BYTES = 65_536;
const KEEP_ALIVE_MS = 10_000;

/** The head of a request. A line break in what we were told to send would begin another: refused. */
function headOf({ method, path, headers, body }: WireRequest): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const length = body === null ? [] : [`content-length: ${body.length}`];
  const all = [`${method} ${path} HTTP/1.1`, ...lines, ...length];
  if (/\s/.test(path) || all.some((line) => /[\r\n\0]/.test(line)))
    throw lineError('MalformedRequest', 'The request holds a character that cannot be sent.');
  return `${all.join('\r\n')}\r\n\r\n`;
}

type Pending = { reader: AnswerReader; resolve: (answer: WireAnswer) => void; reject: (error: Error) => void };

/** Where reads go. `take` hears of `count` bytes in what `room` gave last, or in the connection's own buffer (null). */
type Reads = { room: () => Uint8Array | null; take: (count: number, piece: Buffer | null) => void };

function openSocket(origin: URL, secureContext: SecureContext | undefined, { room, take }: Reads): Socket {
  const host = origin.hostname.replace(/^\[|\]$/g, '');
  const secure = origin.protocol === 'https:';
  const port = origin.port === '' ? (secure ? 443 : 80) : Number(origin.port);
  const own = Buffer.allocUnsafeSlow(READ_BYTES);
  const onread = {
    // Asked for after each read: the body of an answer whose head is read takes what follows.
    buffer: () => room() ?? own,
    callback: (count: number, buffer: Uint8Array) => {
      take(count, buffer === own ? own.subarray(0, count) : null);
      return true;
    },
  };
  const options = { host, port, noDelay: true, onread };
  if (!secure) return connectTcp(options);
  const name = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({ ...options, ...name, secureContext, ALPNProtocols: ['http/1.1'] });
}

/** TLS makes a copy of all that it is given at once: of a pack in one piece, sixteen MiB that are new each time. */
const PIECE_BYTES = 262_144;

/** Sends requests, a body in pieces, each when the one before it has left. `isSending` until the last has. */
function createSender(socket: Socket) {
  let sending = false;
  function sendFrom(body: Uint8Array, at: number): void {
    if (at >= body.length) {
      sending = false;
      return;
    }
    socket.write(body.subarray(at, at + PIECE_BYTES), (error) => {
      if (!error) sendFrom(body, at + PIECE_BYTES);
    });
  }
  return {
    isSending: () => sending || socket.writableLength > 0,
    send(head: string, body: Uint8Array | null): void {
      sending = true;
      socket.cork();
      socket.write(head, 'latin1');
      sendFrom(body ?? new Uint8Array(), 0);
      socket.uncork();
    },
  };
}

/** How connections to an origin are made. `secureContext` is whom TLS trusts. */
export type ConnectionOptions = { connectTimeoutMs: number; secureContext: SecureContext | undefined };

/** Opens a connection to an origin. Errors of the line have their kind in `name`: `ECONNREFUSED`, `TimeoutError`, … */
export function openConnection(origin: URL, options: ConnectionOptions): Connection {
  const { connectTimeoutMs, secureContext } = options;
  let pending: Pending | null = null;
  let open = true;
  let verified = false;
  const socket = openSocket(origin, secureContext, { room: () => pending?.reader.room() ?? null, take });
  const sender = createSender(socket);
  const late = setTimeout(
    () => destroy(lineError('TimeoutError', `No connection within ${connectTimeoutMs} ms.`)),
    connectTimeoutMs,
  );
  // A connection that a firewall forgot is found out by the system, not by a request that waits a minute.
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  const ready = origin.protocol === 'https:' ? 'secureConnect' : 'connect';
  socket.once(ready, () => {
    clearTimeout(late);
    verified = true;
  });

  function destroy(error: Error = lineError('ECONNRESET', 'The connection was closed.')): void {
    open = false;
    clearTimeout(late);
    socket.destroy();
    const waiting = pending;
    pending = null;
    waiting?.reject(error);
  }
  function answered(answer: WireAnswer): void {
    const waiting = pending;
    pending = null;
    // An answer that came before its request was sent leaves a connection that nobody can tell the state of.
    const reusable = answer.headers['connection']?.toLowerCase() !== 'close' && !sender.isSending();
    if (!reusable) destroy();
    else socket.unref();
    waiting?.resolve(answer);
  }
  function take(count: number, piece: Buffer | null): void {
    if (pending === null) return destroy();
    try {
      const { reader } = pending;
      const answer = piece === null ? reader.filled(count) : reader.feed(piece);
      if (answer !== null) answered(answer);
    } catch (error) {
      destroy(error instanceof Error ? error : undefined);
    }
  }
  socket.on('error', (error: NodeJS.ErrnoException) =>
    destroy(lineError(error.code ?? error.name, error.message, error)),
  );
  const ended = () => {
    const answer = pending?.reader.close() ?? null;
    open = false;
    if (answer !== null) answered(answer);
    destroy(lineError('ECONNRESET', 'The answer ended too early.'));
  };
  socket.on('end', ended);
  socket.on('close', ended);

  return {
    exchange: (request) =>
      new Promise((resolve, reject) => {
        const head = headOf(request);
        pending = { reader: readAnswer(request.bodyBytesMax, request.into), resolve, reject };
        socket.ref();
        const begin = () => sender.send(head, request.body);
        // A session's token goes to nobody whose certificate has not been checked.
        if (verified) begin();
        else socket.once(ready, begin);
      }),
    isOpen: () => open,
    destroy,
  };
}
