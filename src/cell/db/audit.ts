import { newId } from '../../core/ids.ts';
import type { Tx } from './client.ts';
import { auditEvents } from './schema/tenants.ts';

/** Who did it: an API key or an operator's key by its public id, or a part of the system by name. */
export type Actor = { type: 'api_key' | 'operator' | 'system'; id: string; requestId?: string | undefined };

/** Exactly one event for each change, in the transaction of the change. `details` holds ids, counts and codes. */
export async function audit(
  tx: Tx,
  event: {
    tenantId: string;
    cell: string;
    now: Date;
    actor: Actor;
    action: string;
    resource: string;
    details?: Record<string, unknown>;
  },
): Promise<void> {
  await tx.insert(auditEvents).values({
    tenantId: event.tenantId,
    id: newId('auditEvent', event.cell, event.now),
    time: event.now,
    actorType: event.actor.type,
    actorId: event.actor.id,
    action: event.action,
    resource: event.resource,
    requestId: event.actor.requestId ?? null,
    details: event.details ?? {},
  });
}
