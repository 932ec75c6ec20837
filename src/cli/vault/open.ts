import { resolve } from 'node:path';
import { Fault } from '../../core/faults.ts';
import { parseId } from '../../core/ids.ts';
import { type ExpectedScope, type PointName, scopeOfPoint } from '../../vault/discover.ts';
import { rootKey, type VolumeScope } from '../../vault/layout.ts';
import type { VaultDeps } from '../../vault/manifest.ts';
import type { LockReader } from '../../vault/ports.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import type { BucketPlace, OpenBucket, openAws } from './aws.ts';
import { openDirectoryStore, readOnly } from './directory-store.ts';
import { type KeyOptions, type Opener, openerOf } from './openers.ts';
import { tenantFolder } from './place.ts';

/** Where a vault is, and what opens its keys, as the command line says it. */
export type VaultOptions = KeyOptions & {
  dir?: string | undefined;
  bucket?: string | undefined;
  prefix?: string | undefined;
  tenant?: string | undefined;
  cell?: string | undefined;
  region?: string | undefined;
  bucketOwner?: string | undefined;
};

/** A place that was opened. `place` and `credentials` are for threads that open it for themselves. */
type Opened = Omit<OpenBucket, 'locks'> & {
  /** Null in a folder: files have no locks. */
  locks: LockReader | null;
};

/** A vault that was opened to be read. */
export type OpenVault = VaultDeps &
  Opened & {
    /** Whose it is, as far as that was said. */
    expected: ExpectedScope;
    /** What a point is read by. Throws Fault `not_found`, and as `scopeOfPoint`. */
    point(name: PointName): Promise<VolumeScope & { manifestKey: string }>;
  };

type Aws = ReturnType<typeof openAws>;

/** The user's AWS, if it is needed: its SDK is half of what a command would load. */
function lazyAws(session: Session) {
  let opened: Aws | null = null;
  return {
    async get(): Promise<Aws> {
      const module = await import('./aws.ts');
      opened ??= module.openAws(session.environment.aws ?? {});
      return opened;
    },
    close: () => opened?.destroy(),
  };
}

/** What was said on the command line must not be another than the file of keys says. */
function expectedScope({ cell, tenant }: VaultOptions, opener: Opener): ExpectedScope {
  const said = { cell, tenantId: tenant };
  for (const name of ['cell', 'tenantId'] as const)
    if (said[name] !== undefined && opener[name] !== undefined && said[name] !== opener[name])
      throw usageError(`The file of keys is of ${opener[name]}, not of ${said[name]}`);
  return { cell: cell ?? opener.cell, tenantId: tenant ?? opener.tenantId };
}

/** The cell, and so the jurisdiction: it is in the tenant's id. @throws Failure when neither was said */
export function cellOf({ cell, tenantId }: ExpectedScope): string {
  const found = cell ?? parseId(tenantId ?? '')?.cell;
  if (found === undefined) throw usageError('Of which cell?', 'Name it with --cell.');
  return found;
}

/** A tenant's part of a bucket. */
function bucketPlace(options: VaultOptions & { bucket: string }, expected: ExpectedScope): BucketPlace {
  const { bucket, prefix, tenant, region, bucketOwner } = options;
  if (prefix === undefined && tenant === undefined)
    throw usageError('Whose vault?', 'Name the tenant with --tenant, or where a copy lies with --prefix.');
  return { cell: cellOf(expected), bucket, prefix: prefix ?? `t/${tenant}/`, awsRegion: region, owner: bucketOwner };
}

/** A folder needs no credentials. */
const nobody = () => Promise.reject(new Fault('internal', 'A folder is read without credentials.'));

function openFolder(base: string): Opened {
  return { store: openDirectoryStore(base), locks: null, place: { kind: 'folder', base }, credentials: nobody };
}

async function placeOf(
  session: Session,
  options: VaultOptions,
  parts: { aws: () => Promise<Aws>; expected: ExpectedScope },
): Promise<Opened> {
  const { dir, bucket, tenant } = options;
  if (dir !== undefined && bucket !== undefined)
    throw usageError('--dir and --bucket are two places', 'Give one of them.');
  if (dir !== undefined) return openFolder(tenantFolder(resolve(session.folder, dir), tenant));
  if (bucket === undefined) throw usageError('Where is the vault?', 'Name it with --bucket or --dir.');
  return (await parts.aws()).open(bucketPlace({ ...options, bucket }, parts.expected));
}

/** Opens a vault, and closes it when `work` is done with it. Nothing of it can be changed. */
export async function withVault<T>(
  session: Session,
  options: VaultOptions,
  work: (vault: OpenVault) => Promise<T>,
): Promise<T> {
  const aws = lazyAws(session);
  try {
    const opener: Opener = (await openerOf(session, options)) ?? { keys: (await aws.get()).keys };
    const expected = expectedScope(options, opener);
    const opened = await placeOf(session, options, { aws: () => aws.get(), expected });
    const store = readOnly(opened.store);
    return await work({
      ...opened,
      store,
      expected,
      keys: opener.keys,
      async point(name) {
        const manifestKey = rootKey(name.volumeId, name.runId);
        return { ...(await scopeOfPoint(store, name, expected)), manifestKey };
      },
    });
  } finally {
    aws.close();
  }
}
