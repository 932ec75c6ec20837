import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { OPERATIONS } from '../../contract/openapi.ts';
import { PROBLEMS } from '../../contract/problems.ts';
import { Fault, toFault } from '../../core/faults.ts';
import type { Logger } from '../../core/log.ts';
import { PROBLEM_TYPE, problemOf } from '../../core/problem.ts';
import type { ApiEnv } from './env.ts';

/** PostgreSQL's ways of saying "not now": shutting down, too many connections, deadlock, serialisation failure. */
const DATABASE_NOT_NOW = /^(57P0[123]|53300|40001|40P01|08\w{3})$/;
const NETWORK_NOT_NOW = /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT)$/;
const POOL_NOT_NOW = /timeout exceeded when trying to connect|Connection terminated|Query read timeout/;
const RETRY_AFTER_SECONDS = '2';

function isOutage(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const code = 'code' in at && typeof at.code === 'string' ? at.code : '';
    if (DATABASE_NOT_NOW.test(code) || NETWORK_NOT_NOW.test(code) || POOL_NOT_NOW.test(at.message)) return true;
  }
  return false;
}

/** drizzle's own error quotes the statement with its parameters, which are tenants' data: only its cause is logged. */
export function loggable(error: unknown): unknown {
  return error instanceof Error && error.name === 'DrizzleQueryError' && error.cause ? error.cause : error;
}

function faultOf(error: unknown): Fault {
  if (isOutage(error)) return new Fault('unavailable', 'The cell cannot answer just now. Try again.', { cause: error });
  if (error instanceof HTTPException && error.status < 500)
    return new Fault('invalid_request', 'The request cannot be read.', { cause: error });
  return toFault(error);
}

function send(c: Context<ApiEnv>, fault: Fault): Response {
  const shown = PROBLEMS[fault.code];
  c.header('content-type', PROBLEM_TYPE);
  c.header('cache-control', 'no-store');
  if (fault.code === 'unauthorized') c.header('www-authenticate', 'Bearer realm="domicile"');
  if (shown.status === 503) c.header('retry-after', RETRY_AFTER_SECONDS);
  return c.body(
    JSON.stringify(problemOf(fault, shown, c.var.requestId)),
    shown.status satisfies number as ContentfulStatusCode,
  );
}

/** Every error becomes a problem here, and is logged here once: what is ours with its causes, the rest by its code. */
export function problemHandler(log: Logger) {
  return (error: Error, c: Context<ApiEnv>): Response => {
    const fault = faultOf(error);
    const fields = { requestId: c.var.requestId, code: fault.code };
    if (fault.owner === 'platform') log.log('error', 'request.failed', fields, loggable(fault.cause ?? fault));
    else log.log('debug', 'request.refused', fields);
    return send(c, fault);
  };
}

const PATHS = OPERATIONS.map(({ method, path }) => ({
  method: method.toUpperCase(),
  pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
}));

/** What no route answered: 405 when the contract has the path with other methods, else 404. */
export function unrouted(c: Context<ApiEnv>): Response {
  const methods = PATHS.filter(({ pattern }) => pattern.test(c.req.path)).map(({ method }) => method);
  if (methods.length === 0) return send(c, new Fault('not_found', 'There is nothing at this address.'));
  const allow = [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))].join(', ');
  c.header('allow', allow);
  return send(c, new Fault('method_not_allowed', `This address answers ${allow} only.`));
}
