import type { Caller } from '../services/keys.ts';

/** What the middleware leaves for the routes. `caller` is set on every route that asks for a key. */
export type ApiEnv = { Variables: { requestId: string; caller: Caller } };
