import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { blocksOf, readManifest } from '../../vault/manifest.ts';
import { statPoint } from '../../vault/point-stat.ts';
import type { Session } from '../session.ts';
import { facts, formatBytes, formatTime, table } from '../table.ts';
import { type VaultOptions, withVault } from '../vault/open.ts';
import { addPointOptions, addVaultOptions, type PointOptions } from './vault-options.ts';

/** Everything about a point but the key of its block ids. */
async function statOf(session: Session, options: VaultOptions & PointOptions) {
  return withVault(session, options, async (vault) => {
    const input = await vault.point({ volumeId: options.volume, runId: options.point });
    const { idKey: _, nodes, dedup, inventory, ...manifest } = await readManifest(vault, input);
    const { pages, ...written } = inventory;
    const stat = await statPoint(vault, input, { signal: session.signal });
    const storedBlocks = blocksOf({ nodes });
    const { cell, tenantId, volumeId } = input;
    const counts = { nodes: nodes.length, inventoryPages: pages.length, dedupPages: dedup.length };
    return { cell, tenantId, volumeId, ...manifest, storedBlocks, ...counts, inventory: written, ...stat };
  });
}

type Stat = Awaited<ReturnType<typeof statOf>>;

/** Recipients of the keys, each once, with how many keys it opens. */
function recipientsOf({ keys }: Stat): { kind: number; name: string; keys: number }[] {
  const all = keys.flatMap(({ recipients }) => recipients);
  const groups = Map.groupBy(all, ({ kind, name }) => `${kind} ${name}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first ? [{ ...first, keys: group.length }] : [];
  });
}

const KINDS: Record<number, string> = { 1: 'key service', 2: 'recovery region', 3: 'recovery key' };

function linesOf(stat: Stat): string[] {
  const { reads, attempts } = stat;
  const sum = (of: (use: Stat['attempts'][number]) => number) => attempts.reduce((total, use) => total + of(use), 0);
  return [
    ...facts({
      volume: stat.volumeId,
      point: stat.runId,
      attempt: stat.attempt,
      tenant: `${stat.tenantId} in ${stat.cell}`,
      time: formatTime(stat.createdTime),
      snapshot: stat.snapshotId,
      kind: stat.reason === null ? stat.kind : `${stat.kind} (${stat.reason})`,
      base: stat.base?.manifestKey,
      previous: stat.previous?.runId,
      size: `${formatBytes(stat.volumeBytes)} in blocks of ${formatBytes(stat.blockBytes)}`,
      stored: `${stat.storedBlocks} blocks in ${sum((use) => use.packs)} packs of ${formatBytes(sum((use) => use.packBytes))}`,
      added: `${stat.blocksStored} of ${stat.blocksRead} blocks read, ${formatBytes(stat.bytesStored)}`,
      'locked until': formatTime(stat.lockUntil),
      'a restore reads': `${reads.bytes} bytes of ${reads.objects} objects in ${reads.requests} requests`,
    }),
    '',
    ...table(
      [
        { title: 'NEEDS RUN', text: (use) => use.runId },
        { title: 'OF VOLUME', text: (use) => use.volumeId },
        { title: 'ATTEMPT', text: (use) => use.attempt },
        { title: 'BLOCKS', text: (use) => use.blocks },
        { title: 'PACKS', text: (use) => use.packs },
        { title: 'THEIR SIZE', text: (use) => formatBytes(use.packBytes) },
      ],
      attempts,
    ),
    '',
    ...table(
      [
        { title: 'KEYS', text: (recipient) => `${recipient.keys} of ${stat.keys.length}` },
        { title: 'OPENED BY', text: (recipient) => KINDS[recipient.kind] ?? `kind ${recipient.kind}` },
        { title: 'NAME', text: (recipient) => recipient.name },
      ],
      recipientsOf(stat),
    ),
  ];
}

async function show(session: Session, options: VaultOptions & PointOptions): Promise<void> {
  const stat = await statOf(session, options);
  session.show(stat, () => linesOf(stat));
}

export function addVaultStat(vault: CommandUnknownOpts, session: Session): void {
  addPointOptions(addVaultOptions(vault.command('stat')))
    .description('One point: what it is, which runs, keys and recipients it needs, what a restore of it reads.')
    .action((options) => show(session, options as VaultOptions & PointOptions));
}
