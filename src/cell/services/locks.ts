import { and, eq, inArray, isNull } from 'drizzle-orm';
import { Fault, type Violation } from '../../core/faults.ts';
import { connections } from '../db/schema/connections.ts';
import type { Retention } from '../db/schema/plans.ts';
import type { TenantScope } from './scope.ts';

/** What a lock must be for a connection with `vault` storage, where there is neither a weaker mode nor a way back. Pure. */
function wrongInVault({ retention, pointer }: Wanted, connectionId: string): Violation[] {
  const { mode, coolOffHours } = retention?.lock ?? {};
  const because = `${connectionId} has vault storage`;
  return [
    ...(mode === 'governance' ? [{ pointer: `${pointer}/lock/mode`, detail: `must be compliance: ${because}` }] : []),
    ...(coolOffHours === undefined
      ? []
      : [{ pointer: `${pointer}/lock/coolOffHours`, detail: `is for connections with account storage: ${because}` }]),
  ];
}

/** A retention, with the pointer of the request that it came from. */
type Wanted = { retention: Retention | null; pointer: string };

/**
 * EBS keeps a lock on snapshots, S3 one on objects of the vault: what only EBS knows is refused where it may meet the vault.
 *
 * @param connectionIds whose instances may be backed up; null is every connection
 * @throws Fault `invalid_request`
 */
export async function requireLockable(
  { tx, tenantId }: Pick<TenantScope, 'tx' | 'tenantId'>,
  wanted: readonly Wanted[],
  connectionIds: readonly (string | null)[],
): Promise<void> {
  const locking = wanted.filter((one) => wrongInVault(one, '').length > 0);
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
  const violations = locking.flatMap((one) => wrongInVault(one, vault.id));
  throw new Fault('invalid_request', 'This lock cannot be kept in the vault; see errors.', { violations });
}
