import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readAnswer } from '../../src/aws/lean/answers.ts';

const MAX = 1_000;

/** What is read of these bytes when they arrive in pieces that end at `cuts`, in a buffer that is used again. */
function read(text: string, cuts: readonly number[] = []) {
  const bytes = Buffer.from(text, 'latin1');
  const reader = readAnswer(MAX);
  const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].toSorted((a, b) => a - b);
  let from = 0;
  for (const end of ends) {
    const piece = Buffer.from(bytes.subarray(from, end));
    const answer = reader.feed(piece);
    piece.fill(0xff);
    from = end;
    if (answer) return { ...answer, body: Buffer.from(answer.body).toString('latin1'), rest: bytes.length - end };
  }
  const closed = reader.close();
  return closed && { ...closed, body: Buffer.from(closed.body).toString('latin1'), rest: 0 };
}
const answer = (...lines: string[]) => lines.join('\r\n');

describe('an answer', () => {
  test.each([
    ['of a known length', answer('HTTP/1.1 200 OK', 'Content-Length: 5', 'X-A: b c ', '', 'hello'), 200, 'hello'],
    ['without a body', answer('HTTP/1.1 201 Created', 'content-length: 0', 'x-a: b c', '', ''), 201, ''],
    ['that has none by its status', answer('HTTP/1.1 204 No Content', 'x-a: b c', '', ''), 204, ''],
    [
      'after 100 Continue',
      answer('HTTP/1.1 100 Continue', '', 'HTTP/1.1 200', 'x-a: b c', 'content-length: 1', '', 'x'),
      200,
      'x',
    ],
    [
      'in chunks',
      answer(
        'HTTP/1.1 503 Slow',
        'Transfer-Encoding: chunked',
        'x-a: b c',
        '',
        '5',
        'hello',
        '6;e=1',
        ' world',
        '0',
        '',
        '',
      ),
      503,
      'hello world',
    ],
    ['refusing, that ends with its connection', answer('HTTP/1.0 500', 'x-a: b c', '', 'sorry'), 500, 'sorry'],
  ])('%s is read, however it is cut into pieces', (_, text, status, body) => {
    const expected = { status, body, rest: 0 };
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
        const got = read(text, cuts);
        expect(got).toMatchObject(expected);
        expect(got?.headers['x-a']).toBe('b c');
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  test.each([
    ['a good one without a length', answer('HTTP/1.1 200 OK', '', 'hello')],
    ['one shorter than it says', answer('HTTP/1.1 200 OK', 'content-length: 6', '', 'hello')],
    ['chunks without an end', answer('HTTP/1.1 400 Bad', 'transfer-encoding: chunked', '', '5', 'hello', '')],
  ])('%s is not taken for whole', (_, text) => {
    expect(read(text)).toBeNull();
  });

  test.each([
    ['more than its length', answer('HTTP/1.1 200 OK', 'content-length: 4', '', 'hello'), 'MalformedAnswer'],
    ['two lengths', answer('HTTP/1.1 200 OK', 'content-length: 4', 'content-length: 5', '', ''), 'MalformedAnswer'],
    [
      'a length and chunks',
      answer('HTTP/1.1 200 OK', 'content-length: 4', 'transfer-encoding: chunked', '', ''),
      'MalformedAnswer',
    ],
    ['a length that is no number', answer('HTTP/1.1 200 OK', 'content-length: +4', '', 'hell'), 'MalformedAnswer'],
    ['another protocol', answer('HTTP/2 200', '', ''), 'MalformedAnswer'],
    ['a space in the name of a header', answer('HTTP/1.1 200 OK', 'content-length : 4', '', 'hell'), 'MalformedAnswer'],
    ['a folded header', answer('HTTP/1.1 200 OK', 'x-a: b', ' content-length: 4', '', 'hell'), 'MalformedAnswer'],
    ['a head without an end', `HTTP/1.1 200 OK\r\nx-a: ${'b'.repeat(70_000)}`, 'MalformedAnswer'],
    [
      'chunks that do not fit',
      answer('HTTP/1.1 400', 'transfer-encoding: chunked', '', '3', 'hello', ''),
      'MalformedAnswer',
    ],
    ['a body over the limit', answer('HTTP/1.1 200 OK', `content-length: ${MAX + 1}`, '', ''), 'BodyTooLong'],
  ])('with %s is refused', (_, text, name) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ name }));
  });
});

describe('a long body', () => {
  const BODY = Buffer.from(Array.from({ length: 60_000 }, (_, n) => n % 251));
  const head = (status: number) => Buffer.from(`HTTP/1.1 ${status} X\r\ncontent-length: ${BODY.length}\r\n\r\n`);

  /** Feeds head and body; where there is room in the body, puts them there, at most `step` bytes at a time. */
  function readLong(status: number, step: number, into?: Uint8Array) {
    const reader = readAnswer(BODY.length, into);
    const bytes = Buffer.concat([head(status), BODY]);
    let direct = 0;
    for (let at = 0; at < bytes.length; ) {
      const room = reader.room();
      const piece = bytes.subarray(at, at + Math.min(step, room?.length ?? step));
      room?.set(piece);
      const answer = room ? reader.filled(piece.length) : reader.feed(piece);
      if (room) direct += piece.length;
      at += piece.length;
      if (answer) return { answer, direct, rest: bytes.length - at };
    }
    throw new Error('The answer is not whole.');
  }

  test('is put where it belongs without being copied, however much comes at once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70_000 }), (step) => {
        const { answer, rest } = readLong(200, step);
        expect(rest).toBe(0);
        expect(Buffer.from(answer.body).equals(BODY)).toBe(true);
      }),
      { numRuns: 30 },
    );
    expect(readLong(200, 4_096).direct).toBeGreaterThan(40_000);
  });

  test('lies in the memory that was given for it, where that is long enough', () => {
    const memory = new Uint8Array(BODY.length + 100);
    const { answer } = readLong(200, 10_000, memory);
    expect(answer.body.buffer).toBe(memory.buffer);
    expect(answer.body).toHaveLength(BODY.length);
    expect(Buffer.from(answer.body).equals(BODY)).toBe(true);
    expect(readLong(200, 10_000, new Uint8Array(10)).answer.body.buffer.byteLength).toBe(BODY.length);
  });

  test('of a refusal is not put into the memory for a block', () => {
    const memory = new Uint8Array(70_000);
    expect(Buffer.from(readLong(500, 9_000, memory).answer.body).equals(BODY)).toBe(true);
    expect(memory.every((byte) => byte === 0)).toBe(true);
  });
});
