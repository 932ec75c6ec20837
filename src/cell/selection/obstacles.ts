import type { FaultCode } from '../../core/faults.ts';

/** Why nothing can happen to an instance, whatever the plans say; `code` is the one that a job would end with. */
export type Obstacle = {
  code: Extract<FaultCode, 'connection_not_usable' | 'instance_terminated' | 'instance_not_found'>;
  detail: string;
};

type Link = {
  id: string;
  state: string;
  stateDetail: string | null;
  tag: { key: string; value: string };
  vpcIds: readonly string[];
};

/** State of an instance that EC2 no longer told of within the limits, and had not told to be terminated. */
export const GONE = 'gone';
/** States that EC2 does not leave again. */
const ENDED: readonly string[] = ['shutting-down', 'terminated'];
/** States in which there is nothing to protect. */
export const ABSENT: readonly string[] = [...ENDED, GONE];

function limitsOf({ tag, vpcIds }: Link): string {
  const vpcs = vpcIds.length === 0 ? '' : `, VPC ${vpcIds.join(' or ')}`;
  return `tag ${tag.key}=${tag.value}${vpcs}`;
}

/** What stands between an instance and its backups, on the side of its account. */
export function obstaclesOf(instance: { instanceId: string; state: string }, connection: Link): Obstacle[] {
  const found: Obstacle[] = [];
  if (connection.state !== 'CONNECTED') {
    const why = connection.stateDetail === null ? '' : `: ${connection.stateDetail}`;
    found.push({ code: 'connection_not_usable', detail: `connection ${connection.id} is ${connection.state}${why}` });
  }
  if (ENDED.includes(instance.state))
    found.push({ code: 'instance_terminated', detail: `${instance.instanceId} is ${instance.state}` });
  if (instance.state === GONE) {
    const limits = limitsOf(connection);
    const detail = `EC2 no longer lists ${instance.instanceId} within the connection's limits (${limits})`;
    found.push({ code: 'instance_not_found', detail });
  }
  return found;
}
