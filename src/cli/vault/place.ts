import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { usageError } from '../failure.ts';

/** Folders that are there below `folder`. */
function foldersIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

/**
 * The folder that stands for a tenant's prefix: the one that holds `v1`. Copies of a bucket have it in `t/<tenant>`, fixtures in
 * `objects`.
 *
 * @throws Failure when there is none, or there are several and none was named
 */
export function tenantFolder(dir: string, tenantId: string | undefined): string {
  for (const base of [dir, join(dir, 'objects')]) {
    if (existsSync(join(base, 'v1'))) return base;
    const tenants = foldersIn(join(base, 't')).filter((name) => tenantId === undefined || name === tenantId);
    const [only] = tenants;
    if (only !== undefined && tenants.length === 1) return join(base, 't', only);
    if (only !== undefined)
      throw usageError(`${dir} holds several tenants`, `Name one with --tenant: ${tenants.join(', ')}`);
  }
  throw usageError(
    `${dir} holds no vault`,
    'It must be a copy of the bucket, or of the tenant’s prefix: a folder with v1 in it.',
  );
}
