import { createReadStream, statSync } from 'node:fs';
import type { Region } from '../../regions/types.ts';
import { backUp, hashRestored, hashSources, plantFault, type Point, restore } from './comparison.ts';
import { type DemoTenant, type DiskImage, onboardCustomer, useDisks } from './customer.ts';
import { EXIT, Exit } from './exit-codes.ts';
import { callsOutside } from './jurisdiction-check.ts';
import type { System } from './system.ts';

const IMAGE_BYTES_MAX = 16 * 2 ** 30;

type Say = (text: string) => void;
type VolumeResult = {
  volumeId: string;
  bytes: number;
  blocksRead: number;
  blocksStored: number;
  sourceSha256: string;
  restoredSha256: string;
};
type PointResult = { recoveryPointId: string; kind: 'full' | 'incremental'; volumes: VolumeResult[] };
export type RegionResult = { cell: string; seconds: number; points: PointResult[] };

/** A raw disk image of the user's, checked before anything starts. */
export function openImage(path: string): DiskImage {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size;
  if (bytes === undefined) throw new Exit(EXIT.usage, `There is no file ${path}.`);
  if (bytes === 0 || bytes > IMAGE_BYTES_MAX)
    throw new Exit(EXIT.usage, `${path} has ${bytes} bytes; an image has 1 byte to 16 GiB.`);
  return { bytes, read: () => createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Uint8Array> };
}

function toResult(point: Point, sources: Map<string, string>, restored: Map<string, string>): PointResult {
  return {
    recoveryPointId: point.id,
    kind: point.kind,
    volumes: point.volumes.map(({ volumeId, volumeBytes, blocksRead, blocksStored }) => ({
      volumeId,
      bytes: volumeBytes,
      blocksRead,
      blocksStored,
      sourceSha256: sources.get(volumeId) ?? '',
      restoredSha256: restored.get(volumeId) ?? '',
    })),
  };
}

type Scenario = { system: System; region: Region; image: DiskImage | null; fault: boolean; say: Say };

/** Full backup, changes, incremental backup, restores of both points; hashes of every raw volume by independent reads. */
async function runRegion({
  system,
  region,
  image,
  fault,
  say,
}: Scenario): Promise<RegionResult & { tenant: DemoTenant }> {
  const started = performance.now();
  const { control, routerUrl } = system;
  const operatorKey = system.cells[region.cell]?.operatorKey ?? '';
  const tenant = await onboardCustomer({ region, control, routerUrl, operatorKey, image, say });
  const points: { point: Point; sources: Map<string, string> }[] = [];
  for (const kind of ['full', 'incremental']) {
    say(`${kind} backup`);
    const point = await backUp(routerUrl, tenant);
    say(`${kind} backup done; reading its source snapshots`);
    points.push({ point, sources: await hashSources(control, tenant, point) });
    if (kind === 'full') await useDisks(control, tenant, 'between two backups');
  }
  const results: PointResult[] = [];
  for (const { point, sources } of points) {
    say(`restoring ${point.id} (${point.kind})`);
    const volumes = await restore(routerUrl, tenant, point.id);
    if (fault) await plantFault(control, tenant, volumes);
    results.push(toResult(point, sources, await hashRestored(control, tenant, volumes)));
  }
  return { cell: region.cell, seconds: Math.round((performance.now() - started) / 100) / 10, points: results, tenant };
}

/** What is wrong with a region's results; nothing, when the demo has shown what it promises. */
export function findings({ cell, points }: RegionResult): string[] {
  const kinds = points.map((point) => point.kind).join(', ');
  const differing = points.flatMap((point) =>
    point.volumes
      .filter((volume) => volume.sourceSha256 === '' || volume.sourceSha256 !== volume.restoredSha256)
      .map((volume) => `${cell}: ${volume.volumeId} restored from ${point.recoveryPointId} differs from its source`),
  );
  return [
    ...(kinds === 'full, incremental' ? [] : [`${cell}: expected a full and an incremental point, got ${kinds}`]),
    ...differing,
  ];
}

/**
 * `npm run demo`: the whole main job once in every cell (or one, with the user's image).
 *
 * @returns the object that is printed as the last line of standard output
 */
export async function runDemo(
  system: System,
  options: { cell: string | null; image: DiskImage | null; fault: boolean; say: Say },
) {
  const chosen = system.regions.filter(({ cell }) => options.cell === null || cell === options.cell);
  const settled = await Promise.allSettled(
    chosen.map((region) =>
      runRegion({
        system,
        region,
        image: options.image,
        fault: options.fault,
        say: (text) => options.say(`${region.cell}: ${text}`),
      }),
    ),
  );
  const failures = settled.flatMap((result, n) =>
    result.status === 'rejected'
      ? [`${chosen[n]?.cell}: ${result.reason instanceof Error ? result.reason.message : 'failed'}`]
      : [],
  );
  const done = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const roleCells = new Map<string, string>();
  for (const { tenant } of done) roleCells.set(tenant.roleName, tenant.cell);
  const outside = callsOutside(await system.control.callSummary(), roleCells).map(
    (call) => `outside the jurisdiction: ${call}`,
  );
  const regions = done.map(({ cell, seconds, points }): RegionResult => ({ cell, seconds, points }));
  const errors = [...failures, ...regions.flatMap(findings), ...outside];
  return { ok: errors.length === 0, regions, ...(errors.length > 0 ? { errors } : {}) };
}
