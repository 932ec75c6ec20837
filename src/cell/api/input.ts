import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { Fault, type Violation } from '../../core/faults.ts';
import type { Input, Operation } from './contract-types.ts';
import { parseJson, pointerOf, textViolations } from './json.ts';

/** `cell` may stand in every query: the router may have used it to find us. */
const NO_QUERY = z.strictObject({ cell: z.string().optional() });
const NO_BODY = z.strictObject({});

type Issue = z.core.$ZodIssue;
type Place = (path: readonly PropertyKey[]) => string;

function violationsOf(issues: readonly Issue[], place: Place): Violation[] {
  return issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ pointer: place([...issue.path, key]), detail: 'unknown field' }))
      : [{ pointer: place(issue.path), detail: issue.message }],
  );
}

function check(schema: z.ZodType, value: unknown, place: Place, found: Violation[]): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  found.push(...violationsOf(result.error.issues, place));
  return undefined;
}

const inQuery: Place = ([name]) => `?${String(name)}`;

function readQuery(c: Context, schema: z.ZodType, found: Violation[]): unknown {
  const all = c.req.queries();
  for (const [name, values] of Object.entries(all)) {
    if (values.length > 1) found.push({ pointer: `?${name}`, detail: 'must not be repeated' });
    if (textViolations([name, ...values]).length > 0)
      found.push({ pointer: `?${name.replaceAll('\u0000', '')}`, detail: 'must be well-formed text' });
  }
  return check(schema, Object.fromEntries(Object.entries(all).map(([name, [value]]) => [name, value])), inQuery, found);
}

async function readBody(c: Context, schema: z.ZodType | undefined, found: Violation[]): Promise<[unknown, unknown]> {
  if (schema === undefined && c.req.method !== 'POST') return [undefined, undefined];
  const bytes = new Uint8Array(await c.req.arrayBuffer());
  if (schema === undefined && bytes.length === 0) return [undefined, undefined];
  if (c.req.header('content-encoding'))
    throw new Fault('unsupported_media_type', 'Send the body uncompressed, with content-type: application/json.');
  const raw = parseJson(bytes, c.req.header('content-type'));
  const unfit = textViolations(raw);
  if (unfit.length > 0) {
    found.push(...unfit);
    return [undefined, undefined];
  }
  return [check(schema ?? NO_BODY, raw, pointerOf, found), raw];
}

/**
 * Reads a request by its contract. `raw` is the body as it was sent.
 *
 * @throws Fault `invalid_request` with every violation of query, headers and body at once; `malformed_json`,
 * `unsupported_media_type`. Ids in the path are not checked: a malformed one is answered like a missing object.
 */
export async function readInput<O extends Operation>(c: Context, operation: O): Promise<Input<O> & { raw: unknown }> {
  const found: Violation[] = [];
  const { request } = operation;
  const query = readQuery(c, request?.query ?? NO_QUERY, found);
  if (request?.headers instanceof z.ZodType)
    check(request.headers, c.req.header(), ([name]) => `header:${String(name)}`, found);
  const [body, raw] = await readBody(c, request?.body?.content['application/json'].schema, found);
  if (found.length === 0) return { params: c.req.param(), query, body, raw } as unknown as Input<O> & { raw: unknown };
  const count = found.length === 1 ? 'One thing is' : `${found.length} things are`;
  throw new Fault('invalid_request', `${count} wrong with the request; see errors.`, { violations: found });
}
