import { randomUUID } from 'node:crypto';
import { and, eq } from 'drizzle-orm';
import { type Missing, missingPermissions } from '../../aws/permissions.ts';
import { describeStep, probeStep } from '../../aws/policies/session.ts';
import {
  type AssumableRole,
  callerAccount,
  customerSession,
  type Probe,
  probeRole,
  sessionName,
} from '../../aws/sessions.ts';
import { createAwsClients, type RegionalClients } from '../../aws/clients.ts';
import { isFault, toFault } from '../../core/faults.ts';
import { listInstances } from '../../aws/instances.ts';
import { audit } from '../db/audit.ts';
import { connections } from '../db/schema/connections.ts';
import { inTenant } from '../db/tenancy.ts';
import { cleanUpRoleOf, type ConnectionRow, inAccount, roleOf, stepOf, type Worker } from './worker.ts';

/** IAM takes a while to know a new role: a connection that was never good is tried again for this long. */
const PATIENCE_MS = 10 * 60_000;
const AGAIN_MS = 15_000;

/** What verification found. Pure data: `stateAfter` decides. */
export type Findings = {
  own: Probe;
  withoutExternalId: Probe;
  wrongExternalId: Probe;
  /** Account of the session, when one could be had. */
  accountId: string | null;
  missing: Missing[];
};
type State = Pick<ConnectionRow, 'state' | 'stateDetail'>;

/**
 * A connection's state by what was found. CONNECTED takes a role that was *refused* without the External ID and with a
 * wrong one, and works with ours; only AccessDenied counts as refused.
 */
export function stateAfter(
  connection: Pick<ConnectionRow, 'state' | 'awsAccountId' | 'awsRegions'>,
  found: Findings,
): State {
  if (found.own !== 'accepted') {
    const known = connection.state !== 'PENDING';
    if (found.own === 'inconclusive')
      return {
        state: connection.state,
        stateDetail: 'AWS could not be asked; the verification is repeated by itself.',
      };
    const next = 'Make the role with the trust policy of this connection, then verify again.';
    return known
      ? { state: 'DISCONNECTED', stateDetail: `The role can no longer be assumed. ${next}` }
      : { state: 'PENDING', stateDetail: `The role cannot be assumed yet. ${next}` };
  }
  const open = [
    ...(found.withoutExternalId === 'accepted' ? ['without an External ID'] : []),
    ...(found.wrongExternalId === 'accepted' ? ['with a wrong External ID'] : []),
  ];
  if (open.length > 0) {
    return {
      state: 'INSECURE',
      stateDetail: `The role can be assumed ${open.join(' and ')}: anyone who knows its name could have us use it. Put the condition sts:ExternalId back into its trust policy, then verify again.`,
    };
  }
  if (found.withoutExternalId !== 'refused' || found.wrongExternalId !== 'refused') {
    return {
      state: connection.state === 'CONNECTED' ? 'CONNECTED' : 'PENDING',
      stateDetail:
        'It could not be shown that the role refuses a wrong External ID; the verification is repeated by itself.',
    };
  }
  if (found.accountId !== connection.awsAccountId) {
    return { state: 'DISCONNECTED', stateDetail: 'The role belongs to another AWS account than the connection names.' };
  }
  const blind = new Set(
    found.missing.filter(({ action }) => action === 'ec2:DescribeInstances').map(({ awsRegion }) => awsRegion),
  );
  if (connection.awsRegions.every((awsRegion) => blind.has(awsRegion))) {
    return {
      state: 'INSUFFICIENT_PERMISSIONS',
      stateDetail: 'The role can list instances in none of the regions; see `missing`.',
    };
  }
  return {
    state: 'CONNECTED',
    stateDetail:
      found.missing.length > 0
        ? 'The role is narrower than the policies we gave; `missing` lists what that rules out.'
        : null,
  };
}

async function missingIn(worker: Worker, connection: ConnectionRow, awsRegion: string): Promise<Missing[]> {
  const step = stepOf(worker, connection, awsRegion);
  const jobId = 'verification';
  const limits = { tag: connection.tag, vpcIds: connection.vpcIds };
  const sample = await inAccount(worker, connection, { awsRegion, jobId, policy: describeStep(step) }, ({ ec2 }) =>
    listInstances(ec2, awsRegion, limits),
  ).then(
    (found) => found.find((instance) => instance.state !== 'terminated')?.instanceId ?? null,
    (error: unknown) => {
      if (isFault(error, 'missing_permission')) return null;
      throw error;
    },
  );
  const options = { tenantId: connection.tenantId, instanceId: sample, restore: connection.restore };
  return inAccount(worker, connection, { awsRegion, jobId, policy: probeStep(step) }, ({ ec2 }) =>
    missingPermissions(ec2, awsRegion, options),
  );
}

async function probe(sts: RegionalClients['sts'], role: AssumableRole) {
  const [own, withoutExternalId, wrongExternalId] = await Promise.all([
    probeRole(sts, role.roleArn, role.externalId),
    probeRole(sts, role.roleArn, null),
    probeRole(sts, role.roleArn, randomUUID()),
  ]);
  return { own, withoutExternalId, wrongExternalId };
}

/** Of two answers to a wrong External ID: accepted by either is accepted, and only what both refuse is refused. */
function worst(one: Probe, other: Probe = 'refused'): Probe {
  if (one === 'accepted' || other === 'accepted') return 'accepted';
  return one === 'refused' && other === 'refused' ? 'refused' : 'inconclusive';
}

const withoutCleanUp = (awsRegion: string): Missing => ({
  action: 'sts:AssumeRole',
  awsRegion,
  detail: 'The clean-up role cannot be assumed. Without it: restore jobs list what they leave, and do not remove it.',
});

async function investigate(worker: Worker, connection: ConnectionRow): Promise<Findings> {
  const [awsRegion = worker.region.homeAwsRegion] = connection.awsRegions;
  const { sts } = worker.aws.for(awsRegion);
  const role = roleOf(worker, connection);
  const main = await probe(sts, role);
  const second = connection.cleanUp ? await probe(sts, cleanUpRoleOf(worker, connection)) : null;
  const { own } = main;
  // A second role that anyone can use is as bad as the first; one that is missing only costs the tidying up.
  const withoutExternalId = worst(main.withoutExternalId, second?.withoutExternalId);
  const wrongExternalId = worst(main.wrongExternalId, second?.wrongExternalId);
  const trusted = own === 'accepted' && withoutExternalId === 'refused' && wrongExternalId === 'refused';
  if (!trusted) return { own, withoutExternalId, wrongExternalId, accountId: null, missing: [] };
  const credentials = customerSession(sts, role, {
    name: sessionName('domicile', 'verification'),
    policy: describeStep(stepOf(worker, connection, awsRegion)),
    awsRegion,
  });
  const clients = createAwsClients({ region: worker.region, credentials, endpoints: worker.endpoints });
  try {
    const accountId = await callerAccount(clients.for(awsRegion).sts, awsRegion);
    const missing =
      accountId === connection.awsAccountId
        ? await Promise.all(connection.awsRegions.map((region) => missingIn(worker, connection, region)))
        : [];
    const noCleanUp = second && second.own !== 'accepted' ? [withoutCleanUp(awsRegion)] : [];
    return { own, withoutExternalId, wrongExternalId, accountId, missing: [...missing.flat(), ...noCleanUp] };
  } finally {
    clients.destroy();
  }
}

export async function loadConnection(
  worker: Worker,
  tenantId: string,
  connectionId: string,
): Promise<ConnectionRow | null> {
  const one = and(eq(connections.tenantId, tenantId), eq(connections.id, connectionId));
  const [row] = await inTenant(worker.db, tenantId, (tx) => tx.select().from(connections).where(one));
  return row ?? null;
}

/** Verifies a connection's role and records what became of it; then discovers, or tries again while the role is new. */
export async function verifyConnection(worker: Worker, job: { tenantId: string; connectionId: string }): Promise<void> {
  const { tenantId, connectionId } = job;
  const connection = await loadConnection(worker, tenantId, connectionId);
  if (!connection || connection.deletedAt !== null) return;
  const found = await investigate(worker, connection).catch((error: unknown): Findings => {
    worker.log.log('warn', 'verification.inconclusive', { tenantId, connectionId, code: toFault(error).code }, error);
    return {
      own: 'inconclusive',
      withoutExternalId: 'inconclusive',
      wrongExternalId: 'inconclusive',
      accountId: null,
      missing: [],
    };
  });
  const after = stateAfter(connection, found);
  const now = worker.clock.now();
  await inTenant(worker.db, tenantId, async (tx) => {
    const one = and(eq(connections.tenantId, tenantId), eq(connections.id, connectionId));
    await tx
      .update(connections)
      .set({ ...after, missing: found.missing, lastVerifiedAt: now })
      .where(one);
    const details = { from: connection.state, to: after.state, missing: found.missing.length };
    const actor = { type: 'system' as const, id: 'verification' };
    await audit(tx, {
      tenantId,
      cell: worker.region.cell,
      now,
      actor,
      action: 'connection.verify',
      resource: connectionId,
      details,
    });
    const young = now.getTime() - connection.createdAt.getTime() < PATIENCE_MS;
    if (after.state === 'CONNECTED') await worker.enqueue(tx, { kind: 'discover', tenantId, connectionId });
    else if (after.state === 'PENDING' && young)
      await worker.enqueue(
        tx,
        { kind: 'verify', tenantId, connectionId },
        { startAfter: new Date(now.getTime() + AGAIN_MS) },
      );
  });
}
