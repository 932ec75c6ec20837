import { and, desc, eq, ne } from 'drizzle-orm';
import type { Tx } from '../db/client.ts';
import { connections } from '../db/schema/connections.ts';
import { volumeBases } from '../db/schema/recovery-points.ts';
import type { ConnectionRow } from './worker.ts';

/** Other volumes whose blocks a new volume is compared with: one read of each one's root. */
const RELATED_MAX = 8;

/**
 * The newest points of other volumes whose blocks this one may name: of connections that share among the tenant, when its own
 * does. Who shares with nobody is also named by nobody, so its keys can be destroyed without harm to others.
 */
export async function relatedVolumes(tx: Tx, { tenantId, dedup }: ConnectionRow, volumeId: string) {
  if (dedup !== 'tenant') return undefined;
  const sharing = and(
    eq(volumeBases.tenantId, tenantId),
    ne(volumeBases.volumeId, volumeId),
    eq(connections.tenantId, tenantId),
    eq(connections.dedup, 'tenant'),
  );
  return tx
    .select({ volumeId: volumeBases.volumeId, manifestKey: volumeBases.manifestKey })
    .from(volumeBases)
    .innerJoin(connections, eq(connections.id, volumeBases.connectionId))
    .where(sharing)
    .orderBy(desc(volumeBases.updatedAt))
    .limit(RELATED_MAX);
}
