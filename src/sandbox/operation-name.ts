import { s3OperationName } from './s3/operation-name.ts';
import type { AwsRequest } from './service.ts';

function ebsOperationName(method: string, path: string): string {
  const parts = path.split('/').filter(Boolean);
  if (parts[1] === 'completion') return 'CompleteSnapshot';
  if (parts.length === 1) return 'StartSnapshot';
  if (parts[2] === 'changedblocks') return 'ListChangedBlocks';
  return parts.length === 3 ? 'ListSnapshotBlocks' : method === 'PUT' ? 'PutSnapshotBlock' : 'GetSnapshotBlock';
}

/** AWS's name of the operation that a request calls: for the record of calls, for quotas and for faults. */
export function operationOf(request: AwsRequest): string {
  const { service, method, path, headers } = request;
  if (service === 'kms') return (headers.get('x-amz-target') ?? '').split('.').at(-1) ?? '';
  if (service === 's3') return s3OperationName(request);
  if (service === 'ebs') return ebsOperationName(method, path);
  return /(?:^|&)Action=([A-Za-z]+)/.exec(request.body.toString('utf8'))?.[1] ?? '';
}
