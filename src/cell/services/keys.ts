import { and, desc, eq, isNull, lt, or, sql } from 'drizzle-orm';
import { type ApiKeyParts, newApiKey } from '../../core/api-keys.ts';
import type { Clock } from '../../core/clock.ts';
import { newId } from '../../core/ids.ts';
import { secretHash, sameHash } from '../credentials.ts';
import { type Actor, audit } from '../db/audit.ts';
import type { Database, Tx } from '../db/client.ts';
import { apiKeys, operatorKeys } from '../db/schema/tenants.ts';
import { enterTenant } from '../db/tenancy.ts';
import { found, wellFormed } from './absence.ts';
import type { PageQuery, Paginate } from './pages.ts';
import type { TenantScope } from './scope.ts';

/** A tenant's program or person, known by an API key. */
type TenantCaller = { kind: 'tenant'; tenantId: string; actor: Actor };
/** Whoever runs the cell, known by an operator key. Belongs to no tenant. */
type OperatorCaller = { kind: 'operator'; keyId: string; actor: Actor };
export type Caller = TenantCaller | OperatorCaller;

export type ApiKeyRow = typeof apiKeys.$inferSelect;

/** `lastUsedAt` is for people who tidy up keys: a minute is precise enough, and spares a write on every request. */
const LAST_USED_STEP_MS = 60_000;

type Deps = { db: Database; clock: Clock; cell: string; pepper: Uint8Array; page: Paginate };

/** Makes a key and its row. The caller audits; the key itself is returned once and kept nowhere. */
export async function insertApiKey(
  { tx, tenantId }: Omit<TenantScope, 'actor'>,
  { clock, cell, pepper }: Pick<Deps, 'clock' | 'cell' | 'pepper'>,
  name: string,
): Promise<{ row: ApiKeyRow; key: string }> {
  const now = clock.now();
  const { key, parts } = newApiKey('dk', cell);
  const row = {
    tenantId,
    id: newId('apiKey', cell, now),
    keyId: parts.id,
    secretHash: secretHash(pepper, parts.secret),
    name,
    createdAt: now,
    lastUsedAt: null,
    revokedAt: null,
  };
  await tx.insert(apiKeys).values(row);
  return { row, key };
}

async function tenantOf(tx: Tx, deps: Deps, parts: ApiKeyParts): Promise<Caller | null> {
  await tx.execute(sql`select set_config('app.key_id', ${parts.id}, true)`);
  const [row] = await tx.select().from(apiKeys).where(eq(apiKeys.keyId, parts.id));
  const valid = sameHash(secretHash(deps.pepper, parts.secret), row?.secretHash);
  if (!valid || !row || row.revokedAt) return null;
  const now = deps.clock.now();
  if (!row.lastUsedAt || now.getTime() - row.lastUsedAt.getTime() >= LAST_USED_STEP_MS) {
    await enterTenant(tx, row.tenantId);
    const before = new Date(now.getTime() - LAST_USED_STEP_MS);
    const stale = or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, before), eq(apiKeys.lastUsedAt, before));
    await tx
      .update(apiKeys)
      .set({ lastUsedAt: now })
      .where(and(eq(apiKeys.tenantId, row.tenantId), eq(apiKeys.id, row.id), stale));
  }
  return { kind: 'tenant', tenantId: row.tenantId, actor: { type: 'api_key', id: row.id } };
}

async function operatorOf(tx: Tx, deps: Deps, parts: ApiKeyParts): Promise<Caller | null> {
  const [row] = await tx.select().from(operatorKeys).where(eq(operatorKeys.keyId, parts.id));
  const valid = sameHash(secretHash(deps.pepper, parts.secret), row?.secretHash);
  if (!valid || !row || row.revokedAt) return null;
  return { kind: 'operator', keyId: row.keyId, actor: { type: 'operator', id: row.keyId } };
}

/** API keys: who calls, and the tenant's own list of keys. */
export function createKeys(deps: Deps) {
  const { db, clock, cell, page } = deps;
  return {
    /** Who has this key, or null: unknown, wrong and revoked keys are told apart by nobody, nor by time. */
    authenticate(parts: ApiKeyParts): Promise<Caller | null> {
      return db.transaction((tx) => (parts.kind === 'ok' ? operatorOf(tx, deps, parts) : tenantOf(tx, deps, parts)));
    },

    async create(scope: TenantScope, { name }: { name: string }) {
      const made = await insertApiKey(scope, deps, name);
      const { tenantId, actor } = scope;
      await audit(scope.tx, {
        tenantId,
        cell,
        now: clock.now(),
        actor,
        action: 'api_key.create',
        resource: made.row.id,
      });
      return made;
    },

    list({ tx, tenantId }: TenantScope, query: PageQuery) {
      const load = (after: string | null, limit: number) =>
        tx
          .select()
          .from(apiKeys)
          .where(and(eq(apiKeys.tenantId, tenantId), after === null ? undefined : lt(apiKeys.id, after)))
          .orderBy(desc(apiKeys.id))
          .limit(limit);
      return page(query, { tenantId, name: 'api-keys', keyOf: (row: ApiKeyRow) => row.id, load });
    },

    /** Revoked keys stay in the list, and revoking one again changes nothing. A tenant may revoke the key it uses. */
    async revoke({ tx, tenantId, actor }: TenantScope, id: string): Promise<void> {
      const now = clock.now();
      const one = and(eq(apiKeys.tenantId, tenantId), eq(apiKeys.id, wellFormed('apiKey', id, 'API key')));
      const [row] = await tx.select().from(apiKeys).where(one).for('update');
      if (found(row, 'API key').revokedAt) return;
      await tx.update(apiKeys).set({ revokedAt: now }).where(one);
      await audit(tx, { tenantId, cell, now, actor, action: 'api_key.revoke', resource: id });
    },
  };
}

export type Keys = ReturnType<typeof createKeys>;
