import type { WireAnswer } from './wire.ts';

/**
 * One answer of HTTP/1.1, read from pieces of any size. It is stricter than a browser: what is not plainly well-formed
 * is refused, for a wrong length would give wrong bytes. Source: RFC 9112.
 */
export type AnswerReader = {
  /** Takes the next piece, which is copied. The answer, once it is whole. */
  feed(piece: Buffer): WireAnswer | null;
  /** Where what comes next may be put at once, so that it is not copied: a part of the body. Null: nowhere yet. */
  room(): Uint8Array | null;
  /** So many bytes were put there. */
  filled(count: number): WireAnswer | null;
  /** The other side has closed: the answer, when only that could end it. */
  close(): WireAnswer | null;
};

/** The longest body of a refusal that is taken: it is a sentence. */
const REFUSAL_BYTES_MAX = 65_536;
const HEAD_BYTES_MAX = 65_536;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const EMPTY = Buffer.alloc(0);

/** An error of the line or of what came over it; `name` says which, as with the SDK's and Node's own. */
export function lineError(name: string, message: string, cause?: unknown): Error {
  const error = cause === undefined ? new Error(message) : new Error(message, { cause });
  error.name = name;
  return error;
}
const malformed = (what: string) => lineError('MalformedAnswer', `The answer is not HTTP/1.1: ${what}.`);
const tooLong = (bytesMax: number) => lineError('BodyTooLong', `The answer is longer than ${bytesMax} bytes.`);

type Head = { status: number; headers: Record<string, string> };

function parseHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  const [, digits] = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first) ?? [];
  if (digits === undefined) throw malformed('its first line');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1 || /[ \t]/.test(line.slice(0, colon))) throw malformed('a header');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const earlier = headers[name];
    if (name === 'content-length' && earlier !== undefined && earlier !== value) throw malformed('two lengths');
    headers[name] = earlier === undefined || name === 'content-length' ? value : `${earlier}, ${value}`;
  }
  return { status: Number(digits), headers };
}

/** How the end of the body is known: by its length, by chunks, or by the end of the connection (null). */
function framing({ status, headers }: Head): number | 'chunked' | null {
  if (status === 204 || status === 304) return 0;
  const { 'content-length': length, 'transfer-encoding': coding } = headers;
  if (coding !== undefined) {
    if (length !== undefined || coding.toLowerCase() !== 'chunked') throw malformed('its framing');
    return 'chunked';
  }
  if (length === undefined) return null;
  if (!/^\d{1,15}$/.test(length)) throw malformed('its length');
  return Number(length);
}

/** The content of a chunked body, or null while it is not whole. */
function dechunked(raw: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const eol = raw.indexOf('\r\n', at);
    if (eol === -1) return null;
    const [size = ''] = raw.toString('latin1', at, eol).split(';');
    if (!/^[0-9a-f]{1,8}$/i.test(size)) throw malformed('a chunk');
    const length = Number.parseInt(size, 16);
    const start = eol + 2;
    if (length === 0) {
      const isWhole = raw.indexOf('\r\n', start) === start || raw.includes(END_OF_HEAD, start);
      return isWhole ? Buffer.concat(parts) : null;
    }
    if (raw.length < start + length + 2) return null;
    if (raw.toString('latin1', start + length, start + length + 2) !== '\r\n') throw malformed('a chunk');
    parts.push(raw.subarray(start, start + length));
    at = start + length + 2;
  }
}

/** Below this, a read of its own costs more than a copy. */
const ROOM_BYTES_MIN = 16_384;

/**
 * @param bodyBytesMax the longest body of a good answer
 * @param into memory for the body of a good answer, where it is long enough
 */
export function readAnswer(bodyBytesMax: number, into?: Uint8Array): AnswerReader {
  let head: Head | null = null;
  let frame: number | 'chunked' | null = null;
  /** What came of the head, and later of a body of unknown length. */
  let gathered: Buffer = EMPTY;
  let body: Buffer = EMPTY;
  let length = 0;
  const bytesMax = () => (head !== null && head.status >= 300 ? REFUSAL_BYTES_MAX : bodyBytesMax);
  const answer = (bytes: Uint8Array): WireAnswer => ({ status: 0, headers: {}, ...head, body: bytes });
  const gather = (piece: Buffer, most: number) => {
    if (gathered.length + piece.length > most) throw tooLong(most);
    gathered = Buffer.concat([gathered, piece]);
  };

  /** Takes the head, when it is whole; what is left is of the body. */
  function feedHead(piece: Buffer): Buffer | null {
    const all = gathered.length === 0 ? piece : Buffer.concat([gathered, piece]);
    const end = all.indexOf(END_OF_HEAD);
    if (end > HEAD_BYTES_MAX || (end === -1 && all.length > HEAD_BYTES_MAX)) throw malformed('its head');
    if (end === -1) {
      gathered = Buffer.from(all);
      return null;
    }
    gathered = EMPTY;
    const rest = all.subarray(end + END_OF_HEAD.length);
    const parsed = parseHead(all.toString('latin1', 0, end));
    // 100 Continue and its kind announce the answer; they are not it.
    if (parsed.status < 200) return feedHead(rest);
    head = parsed;
    frame = framing(parsed);
    if (typeof frame === 'number') {
      if (frame > bytesMax()) throw tooLong(bytesMax());
      const given = into !== undefined && parsed.status < 300 && frame <= into.length ? into : null;
      // Off the pool: the buffer is handed on, and its memory is nobody else's.
      body = given ? Buffer.from(given.buffer, given.byteOffset, frame) : Buffer.allocUnsafeSlow(frame);
    }
    return rest;
  }

  const filled = (count: number): WireAnswer | null => {
    length += count;
    return length === frame ? answer(new Uint8Array(body.buffer, body.byteOffset, length)) : null;
  };

  return {
    room: () => (typeof frame === 'number' && frame - length >= ROOM_BYTES_MIN ? body.subarray(length, frame) : null),
    filled,
    feed(piece) {
      const rest = head === null ? feedHead(piece) : piece;
      if (rest === null) return null;
      if (typeof frame === 'number') {
        if (length + rest.length > frame) throw malformed('more than its length');
        rest.copy(body, length);
        return filled(rest.length);
      }
      gather(rest, bytesMax() + REFUSAL_BYTES_MAX);
      const whole = frame === 'chunked' ? dechunked(gathered) : null;
      return whole === null ? null : answer(new Uint8Array(whole));
    },
    // A good answer must say how long it is: else one that was cut off could not be told from a whole one.
    close: () => (head !== null && head.status >= 300 && frame === null ? answer(new Uint8Array(gathered)) : null),
  };
}
