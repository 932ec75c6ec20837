import type { z } from '@hono/zod-openapi';

/** One route of the contract, as far as the API needs to know it. */
export type Operation = {
  method: string;
  path: string;
  operationId: string;
  getRoutingPath(): string;
  request?: {
    params?: z.ZodType;
    query?: z.ZodType;
    headers?: unknown;
    body?: { content: { 'application/json': { schema: z.ZodType } } };
  };
  responses: Record<string, unknown>;
};

type Schema<T> = T extends z.ZodType ? z.output<T> : Record<never, never>;
type RequestOf<O> = O extends { request: infer R } ? R : Record<never, never>;

type QueryOf<O> = RequestOf<O> extends { query: infer Q } ? Schema<Q> : { cell?: string | undefined };
type ParamsOf<O> = RequestOf<O> extends { params: infer P } ? Schema<P> : Record<never, never>;
type BodyOf<O> =
  RequestOf<O> extends { body: { content: { 'application/json': { schema: infer B } } } } ? Schema<B> : undefined;

type JsonOf<R> = R extends { content: { 'application/json': { schema: infer S } } }
  ? S extends z.ZodType
    ? z.input<S>
    : never
  : void;
/** What a handler returns: the body of the operation's success, or nothing when that is 204. */
export type AnswerOf<O extends { responses: object }> = JsonOf<
  O['responses'][Extract<keyof O['responses'], 200 | 201 | 202 | 204>]
>;

/** A request that kept to the contract, in the contract's types. */
export type Input<O> = { params: ParamsOf<O>; query: QueryOf<O>; body: BodyOf<O> };
