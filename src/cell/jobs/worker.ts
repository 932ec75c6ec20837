import type { Region } from '../../../regions/types.ts';
import { type AwsClients, createAwsClients, type RegionalClients } from '../../aws/clients.ts';
import type { AwsCredentials } from '../../aws/data-clients.ts';
import type { Endpoints } from '../../aws/endpoints.ts';
import type { PolicyDocument } from '../../aws/policies/document.ts';
import { cleanUpRoleNameOf, roleArn } from '../../aws/policies/role.ts';
import type { Step } from '../../aws/policies/session.ts';
import type { StorePlace } from '../../aws/s3-store.ts';
import { type AssumableRole, customerSession, sessionName } from '../../aws/sessions.ts';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import type { Logger } from '../../core/log.ts';
import type { BlobStore, KeyRecipient, KeyService, LockStore } from '../../vault/ports.ts';
import type { Database } from '../db/client.ts';
import type { connections } from '../db/schema/connections.ts';
import type { LanePool } from '../lanes/pool.ts';
import type { Enqueue } from '../queue.ts';

export type ConnectionRow = typeof connections.$inferSelect;

/** What every job of the worker tier works with. */
export type Worker = {
  region: Region;
  db: Database;
  clock: Clock;
  log: Logger;
  enqueue: Enqueue;
  /** Clients as the worker tier itself; customers' accounts are reached through sessions only. */
  aws: AwsClients;
  endpoints: Endpoints;
  vault: {
    bucket: string;
    bucketOwner: string;
    dataKeyArn: string;
    /** Data keys that came before it, while not everything is wrapped anew. */
    formerDataKeyArns?: readonly string[];
    /** The key in the recovery region, for which each data key is wrapped too. */
    recoveryKeyArn?: string | undefined;
  };
  /** Threads that copy blocks. Null: this thread copies them itself. */
  lanes: LanePool | null;
};

export function stepOf(worker: Worker, connection: ConnectionRow, awsRegion: string): Step {
  const { partition, dnsSuffix } = worker.region;
  return { partition, dnsSuffix, awsAccountId: connection.awsAccountId, awsRegion, tenantId: connection.tenantId };
}

export function roleOf(worker: Worker, connection: ConnectionRow): AssumableRole {
  return {
    roleArn: roleArn({ ...worker.region, awsAccountId: connection.awsAccountId }, connection.roleName),
    externalId: connection.externalId,
  };
}

/** The second, opt-in role: it removes what restores leave behind. */
export function cleanUpRoleOf(worker: Worker, connection: ConnectionRow): AssumableRole {
  const roleName = cleanUpRoleNameOf(connection.roleName);
  return roleOf(worker, { ...connection, roleName });
}

/** A connection that must not be used is not used: above all one whose role works without our External ID. */
export function requireUsable(connection: ConnectionRow): void {
  if (connection.state === 'CONNECTED' && connection.deletedAt === null) return;
  const insecure = connection.state === 'INSECURE';
  throw new Fault(
    insecure ? 'role_insecure' : 'connection_not_usable',
    `The connection is ${connection.state}. ${connection.stateDetail ?? 'Verify it first.'}`,
    {
      facts: { connectionId: connection.id, state: connection.state },
    },
  );
}

/**
 * Runs `work` with clients of a session in the customer's account that can do this one step and no more. The region is
 * checked against the connection's own limits, before any call.
 */
export function inAccount<T>(
  worker: Worker,
  connection: ConnectionRow,
  options: SessionOptions,
  work: (clients: RegionalClients) => Promise<T>,
): Promise<T> {
  return inRole(worker, connection, { ...options, role: roleOf(worker, connection) }, work);
}

/** The same with the clean-up role, which only a connection with `cleanUp` has. */
export function inCleanUpRole<T>(
  worker: Worker,
  connection: ConnectionRow,
  options: SessionOptions,
  work: (clients: RegionalClients) => Promise<T>,
): Promise<T> {
  return inRole(worker, connection, { ...options, role: cleanUpRoleOf(worker, connection) }, work);
}

type SessionOptions = { awsRegion: string; jobId: string; policy: PolicyDocument };

async function inRole<T>(
  worker: Worker,
  connection: ConnectionRow,
  options: SessionOptions & { role: AssumableRole },
  work: (clients: RegionalClients) => Promise<T>,
): Promise<T> {
  const { awsRegion } = options;
  if (!connection.awsRegions.includes(awsRegion)) {
    throw new Fault('outside_connection_limits', `${awsRegion} is not among the regions of the connection.`, {
      facts: { awsRegion },
    });
  }
  const name = sessionName('domicile', options.jobId);
  const credentials = customerSession(worker.aws.for(awsRegion).sts, options.role, {
    name,
    policy: options.policy,
    awsRegion,
  });
  const clients = createAwsClients({ region: worker.region, credentials, endpoints: worker.endpoints });
  try {
    return await work(clients.for(awsRegion));
  } finally {
    clients.destroy();
  }
}

/** A tenant's part of the vault: its objects and the keys to them, where they lie, and who asks for them. */
export type TenantVault = {
  store: BlobStore;
  keys: KeyService;
  /** Whom the cell wraps each data key for, beside its own key: the recovery region. */
  recipients: readonly KeyRecipient[];
  locks: LockStore;
  place: StorePlace;
  credentials: () => Promise<AwsCredentials>;
};
