import { and, eq, inArray, isNull } from 'drizzle-orm';
import { Fault, type Violation } from '../../core/faults.ts';
import { connections } from '../db/schema/connections.ts';
import type { Retention } from '../db/schema/plans.ts';
import type { TenantScope } from './scope.ts';

/**
 * A lock is kept by EBS, on snapshots that are the recovery points themselves: a connection with `vault` storage has none,
 * and a lock that would protect nothing is refused.
 *
 * @param connectionIds whose instances may be backed up; null is every connection
 * @param wanted each retention with the pointer of the request that it came from
 * @throws Fault `invalid_request`
 */
export async function requireLockable(
  { tx, tenantId }: Pick<TenantScope, 'tx' | 'tenantId'>,
  wanted: readonly { retention: Retention | null; pointer: string }[],
  connectionIds: readonly (string | null)[],
): Promise<void> {
  const locking = wanted.filter(({ retention }) => retention?.lock !== undefined);
  if (locking.length === 0 || connectionIds.length === 0) return;
  const named = connectionIds.filter((id) => id !== null);
  const some = and(
    eq(connections.tenantId, tenantId),
    isNull(connections.deletedAt),
    connectionIds.includes(null) ? undefined : inArray(connections.id, named),
    eq(connections.storage, 'vault'),
  );
  const [vault] = await tx.select({ id: connections.id }).from(connections).where(some);
  if (!vault) return;
  const detail = `is for connections with account storage; ${vault.id} has vault storage`;
  const violations = locking.map(({ pointer }): Violation => ({ pointer: `${pointer}/lock`, detail }));
  throw new Fault('invalid_request', 'A lock would protect nothing here; see errors.', { violations });
}
