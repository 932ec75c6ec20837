import { eq } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { Fault, isFault } from '../../core/faults.ts';
import { readRecoveryPublicKey } from '../../crypto/recovery-key.ts';
import { audit } from '../db/audit.ts';
import { tenants } from '../db/schema/tenants.ts';
import { found } from './absence.ts';
import type { TenantScope } from './scope.ts';

export type RecoveryKey = { fingerprint: string; since: Date };

/** @throws Fault `invalid_request` that points at the field */
function readKey(publicKey: string) {
  try {
    return readRecoveryPublicKey(publicKey);
  } catch (error) {
    if (!isFault(error, 'invalid_request')) throw error;
    const violations = [{ pointer: '/publicKey', detail: error.message }];
    throw new Fault('invalid_request', 'The recovery key cannot be used; see errors.', { violations });
  }
}

async function load({ tx, tenantId }: TenantScope): Promise<RecoveryKey | null> {
  const [row] = await tx.select().from(tenants).where(eq(tenants.tenantId, tenantId)).for('no key update');
  const { recoveryKey, recoveryKeySince } = found(row, 'tenant');
  if (recoveryKey === null || recoveryKeySince === null) return null;
  return { fingerprint: readRecoveryPublicKey(recoveryKey).name, since: recoveryKeySince };
}

/** The tenant's own recovery key: its public half, for which backups are sealed too. */
export function createRecoveryKeys({ clock, cell }: { clock: Clock; cell: string }) {
  async function change(
    scope: TenantScope,
    action: 'set' | 'remove',
    key: { pem: string; fingerprint: string } | null,
  ) {
    const { tx, tenantId, actor } = scope;
    const now = clock.now();
    const set = { recoveryKey: key?.pem ?? null, recoveryKeySince: key ? now : null };
    await tx.update(tenants).set(set).where(eq(tenants.tenantId, tenantId));
    const details = key ? { fingerprint: key.fingerprint } : {};
    await audit(tx, { tenantId, cell, now, actor, action: `recovery_key.${action}`, resource: tenantId, details });
    return now;
  }
  return {
    /** @throws Fault `not_found` when none is set */
    async get(scope: TenantScope): Promise<RecoveryKey> {
      return found((await load(scope)) ?? undefined, 'recovery key');
    },

    /** Setting the key that is set already changes nothing. @throws Fault `invalid_request` */
    async set(scope: TenantScope, publicKey: string): Promise<RecoveryKey> {
      const { name: fingerprint, pem } = readKey(publicKey);
      const known = await load(scope);
      if (known?.fingerprint === fingerprint) return known;
      return { fingerprint, since: await change(scope, 'set', { pem, fingerprint }) };
    },

    /** @throws Fault `not_found` when none is set */
    async remove(scope: TenantScope): Promise<void> {
      found((await load(scope)) ?? undefined, 'recovery key');
      await change(scope, 'remove', null);
    },
  };
}

export type RecoveryKeys = ReturnType<typeof createRecoveryKeys>;
