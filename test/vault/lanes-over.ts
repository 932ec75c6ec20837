import { randomBytes } from 'node:crypto';
import { MessageChannel } from 'node:worker_threads';
import { onTestFinished } from 'vitest';
import type { OpenLanes } from '../../src/vault/backup-attempt.ts';
import { connectLane, createOpenPacks, serveLane } from '../../src/vault/lane-port.ts';
import type { BlobStore, BlockSink, BlockSource } from '../../src/vault/ports.ts';
import type { OpenRestoreLanes } from '../../src/vault/restore.ts';
import { connectRestoreLane, serveRestoreLane } from '../../src/vault/restore-lane-port.ts';
import { SCOPE } from './fixture.ts';

function channel() {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => {
    port1.close();
    port2.close();
  });
  return { port1, port2 };
}

/** Lanes at the other end of a line; `ends` are those lines, to be cut. */
export function lanesOver({ store }: { store: BlobStore }, source: BlockSource, count: number) {
  const ends: { close(): void }[] = [];
  const openLanes: OpenLanes = async (start) => {
    const packs = createOpenPacks(start);
    return Array.from({ length: count }, () => {
      const { port1, port2 } = channel();
      ends.push(port2);
      const { attempt, idKey, checkAll } = start;
      serveLane(port2, { scope: SCOPE, attempt, idKey, checkAll }, { source, store, random: randomBytes });
      return connectLane(port1, start, packs);
    });
  };
  return { openLanes, ends };
}

/** The same for a restore. */
export function restoreLanesOver({ store }: { store: BlobStore }, sink: BlockSink, count: number): OpenRestoreLanes {
  return async (start) =>
    Array.from({ length: count }, () => {
      const { port1, port2 } = channel();
      const { idKey, blockBytes } = start;
      serveRestoreLane(port2, { scope: SCOPE, idKey, blockBytes }, { store, openSink: () => sink });
      return connectRestoreLane(port1, start);
    });
}
