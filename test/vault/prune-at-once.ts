import { planCollection } from '../../src/vault/gc/plan.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { VaultDeps } from '../../src/vault/manifest.ts';
import { SCOPE } from './fixture.ts';

type Deps = VaultDeps & { clock?: Clock };

/** The names of all objects that points of these manifests do not need, roots first. */
export async function unneededBy(deps: Deps, manifestKeys: readonly string[]): Promise<string[]> {
  const { condemn } = await planCollection(deps, SCOPE, async () => ({
    kept: [{ volumeId: SCOPE.volumeId, manifestKeys }],
    deletedRoots: [],
    openRunIds: [],
    condemnations: [],
    doomed: [],
    longestJobMs: 0,
    packsAllowed: () => 0,
  }));
  return condemn.map(({ key }) => key);
}

/** Deletes them, as if all had waited long enough, and names them. */
export async function pruneAtOnce(deps: Deps, manifestKeys: readonly string[]): Promise<string[]> {
  const unneeded = await unneededBy(deps, manifestKeys);
  await deps.store.delete(unneeded);
  return unneeded;
}
