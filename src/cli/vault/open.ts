import { resolve } from 'node:path';
import { type ExpectedScope, type PointName, scopeOfPoint } from '../../vault/discover.ts';
import { rootKey, type VolumeScope } from '../../vault/layout.ts';
import type { VaultDeps } from '../../vault/manifest.ts';
import type { BlobStore } from '../../vault/ports.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { type KeyOptions, type Opener, openerOf } from './openers.ts';
import { openFolder } from './place.ts';

/** Where a vault is, and what opens its keys, as the command line says it. */
export type VaultOptions = KeyOptions & {
  dir?: string | undefined;
  tenant?: string | undefined;
  cell?: string | undefined;
};

/** A vault that was opened to be read. */
export type OpenVault = VaultDeps & {
  /** What a point is read by. Throws Fault `not_found`, and as `scopeOfPoint`. */
  point(name: PointName): Promise<VolumeScope & { manifestKey: string }>;
  close(): Promise<void>;
};

function placeOf(folder: string, { dir, tenant }: VaultOptions): { store: BlobStore; close: () => Promise<void> } {
  if (dir === undefined) throw usageError('Where is the vault?', 'Name it with --dir.');
  return { store: openFolder(resolve(folder, dir), tenant), close: async () => {} };
}

/** What was said on the command line must not be another than the file of keys says. */
function expectedScope({ cell, tenant }: VaultOptions, opener: Opener): ExpectedScope {
  const said = { cell, tenantId: tenant };
  for (const name of ['cell', 'tenantId'] as const)
    if (said[name] !== undefined && opener[name] !== undefined && said[name] !== opener[name])
      throw usageError(`The file of keys is of ${opener[name]}, not of ${said[name]}`);
  return { cell: cell ?? opener.cell, tenantId: tenant ?? opener.tenantId };
}

/** Opens a vault, and closes it when `work` is done with it. */
export async function withVault<T>(
  session: Session,
  options: VaultOptions,
  work: (vault: OpenVault) => Promise<T>,
): Promise<T> {
  const opener = await openerOf(session, options);
  if (opener === null) throw usageError('What opens the keys?', 'Give --recovery-key or --keys.');
  const { store, close } = placeOf(session.folder, options);
  const expected = expectedScope(options, opener);
  try {
    return await work({
      store,
      keys: opener.keys,
      async point(name) {
        const manifestKey = rootKey(name.volumeId, name.runId);
        return { ...(await scopeOfPoint(store, name, expected)), manifestKey };
      },
      close,
    });
  } finally {
    await close();
  }
}
