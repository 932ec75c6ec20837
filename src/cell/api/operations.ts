import { z } from '@hono/zod-openapi';
import type { Context, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { Fault } from '../../core/faults.ts';
import type { Database, Tx } from '../db/client.ts';
import { asOperator, inTenant } from '../db/tenancy.ts';
import type { Answer, Once } from '../services/first-answers.ts';
import type { OperatorScope, TenantScope } from '../services/scope.ts';
import type { AnswerOf, Input, Operation } from './contract-types.ts';
import type { ApiEnv } from './env.ts';
import { readInput } from './input.ts';
import { canonicalJson } from './json.ts';

type Awaitable<T> = T | Promise<T>;
export type Handler<O extends Operation, S> = (scope: S, input: Input<O>) => Awaitable<AnswerOf<O>>;

/** The one success that the contract promises for an operation. */
function successOf(operation: Operation): number {
  const status = Object.keys(operation.responses).find((code) => code.startsWith('2'));
  if (status === undefined) throw new Error(`${operation.operationId} promises no success`);
  return Number(status);
}

function isRepeatable(operation: Operation): boolean {
  const headers = operation.request?.headers;
  return headers instanceof z.ZodObject && 'idempotency-key' in headers.shape;
}

function send(c: Context<ApiEnv>, answer: Answer, replayed = false): Response {
  if (replayed) c.header('idempotency-replayed', 'true');
  if (answer.status === 204) return c.body(null, 204);
  return c.body(answer.text, answer.status as ContentfulStatusCode, { 'content-type': 'application/json' });
}

type Work = { c: Context<ApiEnv>; operation: Operation; scope: string; raw: unknown };

/**
 * Registers the contract's operations on the app. A request is one transaction: read by the contract, then tenancy,
 * then the handler, and for a create that is repeated its first answer. What a handler returns is typed by the contract.
 */
export function createOperations({ app, db, once }: { app: Hono<ApiEnv>; db: Database; once: Once }) {
  const answer = async (operation: Operation, value: unknown): Promise<Answer> => ({
    status: successOf(operation),
    text: JSON.stringify(value ?? null),
  });
  const run = async (tx: Tx, { c, operation, scope, raw }: Work, work: () => Promise<Answer>) => {
    const idempotencyKey = isRepeatable(operation) ? c.req.header('idempotency-key') : undefined;
    if (idempotencyKey === undefined) return { ...(await work()), replayed: false };
    const content = `${c.req.method}\n${c.req.path}\n${canonicalJson(raw)}`;
    return once(tx, { scope, idempotencyKey, content }, work);
  };
  const on = (operation: Operation, handle: (c: Context<ApiEnv>) => Promise<Response>) =>
    app.on(operation.method.toUpperCase(), operation.getRoutingPath(), handle);

  return {
    /** An operation of a tenant, in the tenant's own transaction. */
    tenant<O extends Operation>(operation: O, handler: Handler<O, TenantScope>) {
      on(operation, async (c) => {
        const { caller } = c.var;
        if (caller.kind !== 'tenant') throw new Fault('forbidden', "This needs a tenant's key (dk_…).");
        const { raw, ...input } = await readInput(c, operation);
        const { tenantId, actor } = caller;
        const { replayed, ...done } = await inTenant(db, tenantId, (tx) =>
          run(tx, { c, operation, scope: tenantId, raw }, async () =>
            answer(operation, await handler({ tx, tenantId, actor }, input as Input<O>)),
          ),
        );
        return send(c, done, replayed);
      });
    },
    /** An operation of whoever runs the cell. */
    operator<O extends Operation>(operation: O, handler: Handler<O, OperatorScope>) {
      on(operation, async (c) => {
        const { caller } = c.var;
        if (caller.kind !== 'operator') throw new Fault('forbidden', "This needs an operator's key (ok_…).");
        const { raw, ...input } = await readInput(c, operation);
        const { replayed, ...done } = await asOperator(db, (tx) =>
          run(tx, { c, operation, scope: `operator:${caller.keyId}`, raw }, async () =>
            answer(operation, await handler({ tx, actor: caller.actor }, input as Input<O>)),
          ),
        );
        return send(c, done, replayed);
      });
    },
    /** An operation that asks for no key and touches no row. */
    open<O extends Operation>(operation: O, handler: () => Awaitable<AnswerOf<O>>) {
      on(operation, async (c) => {
        await readInput(c, operation);
        return send(c, await answer(operation, await handler()));
      });
    },
  };
}

export type Operations = ReturnType<typeof createOperations>;
