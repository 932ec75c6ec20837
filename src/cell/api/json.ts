import { Fault, type Violation } from '../../core/faults.ts';

/** Our deepest schema has five levels; PostgreSQL and V8 would take more, but nobody means it. */
const DEPTH_MAX = 32;

function textProblem(text: string): string | null {
  if (text.includes('\u0000')) return 'must not contain the character U+0000';
  return text.isWellFormed() ? null : 'must be well-formed Unicode';
}

const step = (key: string | number) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;

/** JSON pointer (RFC 6901) of a path. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((key) => step(typeof key === 'symbol' ? '' : key)).join('');
}

/**
 * What no schema says but every text must keep to: PostgreSQL holds no U+0000 and no lone surrogate, `__proto__` is a
 * name that JavaScript takes for something else, and nesting has an end. Walks without recursion, because the depth is
 * the sender's choice.
 */
export function textViolations(value: unknown, at = ''): Violation[] {
  const found: Violation[] = [];
  const open: { value: unknown; at: string; depth: number }[] = [{ value, at, depth: 0 }];
  for (let next = open.pop(); next !== undefined && found.length < 100; next = open.pop()) {
    const { value: node, at: pointer, depth } = next;
    if (typeof node === 'string') {
      const detail = textProblem(node);
      if (detail) found.push({ pointer, detail });
    } else if (typeof node === 'object' && node !== null) {
      if (depth >= DEPTH_MAX) return [{ pointer: at, detail: `must not nest deeper than ${DEPTH_MAX} levels` }];
      for (const [key, child] of Object.entries(node)) {
        const detail = key === '__proto__' ? 'unknown field' : textProblem(key);
        if (detail) found.push({ pointer, detail: `field ${JSON.stringify(key)}: ${detail}` });
        open.push({ value: child, at: pointer + step(key), depth: depth + 1 });
      }
    }
  }
  return found;
}

/** The same value always as the same text: object keys sorted. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, node: unknown) =>
    typeof node === 'object' && node !== null && !Array.isArray(node)
      ? Object.fromEntries(Object.entries(node).sort(([a], [b]) => (a < b ? -1 : 1)))
      : node,
  );
}

/**
 * The body as JSON.
 *
 * @throws Fault `unsupported_media_type`, `malformed_json`
 */
export function parseJson(bytes: Uint8Array, contentType: string | null | undefined): unknown {
  if (!/^application\/json *(; *charset="?utf-8"? *)?$/i.test(contentType ?? ''))
    throw new Fault('unsupported_media_type', 'Send the body as JSON, with content-type: application/json.');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Fault('malformed_json', 'The body is not valid JSON in UTF-8.', { cause });
  }
}
