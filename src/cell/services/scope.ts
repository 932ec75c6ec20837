import type { Actor } from '../db/audit.ts';
import type { Tx } from '../db/client.ts';

/** What a service works in: the request's transaction, whose tenant is set, and who asks. */
export type TenantScope = { tx: Tx; tenantId: string; actor: Actor };
/** As `TenantScope`, for the operator: no tenant is set; tenants can be made and listed. */
export type OperatorScope = { tx: Tx; actor: Actor };
