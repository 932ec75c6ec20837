import { snapshotArn, type Snapshot, resourceTagKeys } from '../ec2/model.ts';
import { findSnapshot, type World } from '../ec2/world-state.ts';
import { AwsError, type AwsRequest, type AwsResponse } from '../service.ts';

export const ebsError = (code: string, status: number, message: string, reason?: string) =>
  new AwsError(code, status, message, reason === undefined ? {} : { Reason: reason });
export const invalid = (message: string, reason = 'INVALID_PARAMETER_VALUE') =>
  ebsError('ValidationException', 400, message, reason);

export const ebsJson = (status: number, value: object): AwsResponse => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});

/**
 * The snapshot of a request, when the caller may do this with it. Rights come first: someone without them learns
 * nothing of what exists.
 */
export function snapshotFor(world: World, request: AwsRequest, id: string, action: string): Snapshot {
  if (!/^snap-[0-9a-f]{1,60}$/.test(id)) throw invalid(`The snapshot ID '${id}' is malformed.`, 'INVALID_SNAPSHOT_ID');
  const snapshot = findSnapshot(world, request, id);
  const context = snapshot ? resourceTagKeys(snapshot.tags) : {};
  world.require(
    request,
    { action: `ebs:${action}`, resource: snapshotArn(request.awsRegion, id), context },
    'AccessDeniedException',
  );
  if (!snapshot)
    throw ebsError('ResourceNotFoundException', 404, `The snapshot '${id}' does not exist.`, 'SNAPSHOT_NOT_FOUND');
  return snapshot;
}

/** A key that refuses shows as a dependency that denies access. */
export function requireKey(
  world: World,
  request: AwsRequest,
  snapshot: { kmsKeyArn: string | null },
  actions: readonly string[],
): void {
  if (snapshot.kmsKeyArn === null) return;
  try {
    world.keys.require(request, snapshot.kmsKeyArn, actions, `ec2.${request.awsRegion}.amazonaws.com`);
  } catch (error) {
    throw ebsError(
      'AccessDeniedException',
      403,
      `The KMS key refuses: ${error instanceof Error ? error.message : ''}`,
      'DEPENDENCY_ACCESS_DENIED',
    );
  }
}
