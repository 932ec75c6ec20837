import { resolve } from 'node:path';
import type { ExpectedScope } from '../../vault/discover.ts';
import type { BlobStore } from '../../vault/ports.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { openDirectoryStore } from './directory-store.ts';
import { cellOf } from './open.ts';

/** Where a copy goes, as the command line says it. */
export type TargetOptions = {
  to?: string | undefined;
  toBucket?: string | undefined;
  toPrefix?: string | undefined;
  toRegion?: string | undefined;
  toBucketOwner?: string | undefined;
  toAwsProfile?: string | undefined;
};

/** As in a cell's bucket, unless another prefix is named. */
function prefixOf({ toPrefix }: TargetOptions, { tenantId }: ExpectedScope): string {
  if (toPrefix !== undefined) return toPrefix === '' || toPrefix.endsWith('/') ? toPrefix : `${toPrefix}/`;
  if (tenantId === undefined) throw usageError('Where in the bucket?', 'Name it with --to-prefix.');
  return `t/${tenantId}/`;
}

async function openBucket(
  session: Session,
  options: TargetOptions & { toBucket: string },
  expected: ExpectedScope,
): Promise<{ store: BlobStore; close: () => void }> {
  const { toBucket: bucket, toRegion: awsRegion, toBucketOwner: owner, toAwsProfile } = options;
  const { openAws } = await import('./aws.ts');
  const aws = openAws(session.environment.aws ?? {}, toAwsProfile);
  const prefix = prefixOf(options, expected);
  const { store } = await aws.open({ cell: cellOf(expected), bucket, prefix, awsRegion, owner });
  return { store, close: () => aws.destroy() };
}

/** Opens what a copy is written to, and closes it when `work` is done with it. */
export async function withTarget<T>(
  session: Session,
  options: TargetOptions,
  parts: { expected: ExpectedScope; work: (store: BlobStore) => Promise<T> },
): Promise<T> {
  const { to, toBucket } = options;
  if ((to === undefined) === (toBucket === undefined))
    throw usageError('Where to?', 'Name it with --to or --to-bucket.');
  if (toBucket === undefined) return parts.work(openDirectoryStore(resolve(session.folder, to ?? '')));
  const { store, close } = await openBucket(session, { ...options, toBucket }, parts.expected);
  try {
    return await parts.work(store);
  } finally {
    close();
  }
}
