import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BlockStore } from '../blocks/block-store.ts';
import { AwsError, type Question, type AwsRequest, type ServiceDeps } from '../service.ts';
import type { Image, Instance, KeyPair, RootTask, Snapshot, Volume } from './model.ts';

type Stored<T> = Omit<T, 'blocks'> & { blocks: [number, number][] };
type StoredSnapshot = Omit<Stored<Snapshot>, 'written'> & {
  written: (Omit<NonNullable<Snapshot['written']>, 'indexes'> & { indexes: number[] }) | null;
};
type Gone = Pick<Image, 'id' | 'accountId' | 'awsRegion'>;
type State = {
  volumes: Stored<Volume>[];
  snapshots: StoredSnapshot[];
  instances: Instance[];
  encryptionByDefault: string[];
  clientTokens: [string, string][];
  images?: Image[];
  deregistered?: Gone[];
  keyPairs?: KeyPair[];
  rootTasks?: RootTask[];
};

/** What instances of a state that an earlier version wrote do not have. */
const earlier = (id: string) => ({
  transition: null,
  networkInterfaceId: `eni-${id.slice(2)}`,
  networkInterfaceTags: {},
  architecture: 'x86_64',
  bootMode: null,
  billing: { platformDetails: 'Linux/UNIX', productCodes: [] },
  userData: '',
  metadataOptions: { httpTokens: 'required', httpPutResponseHopLimit: 2, httpEndpoint: 'enabled' },
  instanceProfileArn: null,
  ebsOptimized: false,
});

const pack = <T extends { blocks: Map<number, number> }>(item: T): Stored<T> => ({ ...item, blocks: [...item.blocks] });
const packSnapshot = (snapshot: Snapshot): StoredSnapshot => ({
  ...pack(snapshot),
  written: snapshot.written && { ...snapshot.written, indexes: [...snapshot.written.indexes] },
});
const unpackSnapshot = (stored: StoredSnapshot): Snapshot => ({
  ...stored,
  blocks: new Map(stored.blocks),
  written: stored.written && { ...stored.written, indexes: new Set(stored.written.indexes) },
});

const byId = <T extends { id: string }>(items: readonly T[] = []) => new Map(items.map((item) => [item.id, item]));

/** Instances, volumes and snapshots of all accounts and regions, with their blocks: what EC2 and EBS direct share. */
export function openWorld(deps: ServiceDeps) {
  mkdirSync(deps.dir, { recursive: true, mode: 0o700 });
  const file = join(deps.dir, 'ec2.json');
  const state: State | null = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
  const volumes = new Map<string, Volume>();
  const snapshots = new Map<string, Snapshot>();
  for (const item of state?.volumes ?? []) volumes.set(item.id, { ...item, blocks: new Map(item.blocks) });
  for (const item of state?.snapshots ?? []) snapshots.set(item.id, unpackSnapshot(item));
  const instances = new Map((state?.instances ?? []).map((item) => [item.id, { ...earlier(item.id), ...item }]));
  const images = byId(state?.images);
  const deregistered = byId(state?.deregistered);
  const keyPairs = byId(state?.keyPairs);
  const rootTasks = byId(state?.rootTasks);
  const encryptionByDefault = new Set(state?.encryptionByDefault ?? []);
  const clientTokens = new Map(state?.clientTokens ?? []);
  const maps = [...volumes.values(), ...snapshots.values()].map((item) => item.blocks);
  const blocks = new BlockStore(join(deps.dir, 'blocks'), maps);
  let dirty = false;
  return {
    ...deps,
    volumes,
    snapshots,
    instances,
    images,
    /** What is left of images that were deregistered. */
    deregistered,
    keyPairs,
    rootTasks,
    encryptionByDefault,
    clientTokens,
    blocks,
    changed() {
      dirty = true;
    },
    /** Throws unless the caller may; `code` is the service's word for a refusal. */
    require(
      request: AwsRequest,
      question: Question,
      code: 'UnauthorizedOperation' | 'AccessDeniedException' = 'UnauthorizedOperation',
    ) {
      const decision = deps.authorize(request.caller, question, request);
      if (decision.allowed) return;
      throw new AwsError(
        code,
        403,
        `You are not authorized to perform this operation. ${decision.reason}`,
        code === 'AccessDeniedException' ? { Reason: 'UNAUTHORIZED_ACCOUNT' } : {},
      );
    },
    close: () => blocks.close(),
    async save(): Promise<void> {
      if (!dirty) return;
      dirty = false;
      const slots = blocks.save();
      const text = JSON.stringify({
        volumes: [...volumes.values()].map(pack),
        snapshots: [...snapshots.values()].map(packSnapshot),
        instances: [...instances.values()],
        encryptionByDefault: [...encryptionByDefault],
        clientTokens: [...clientTokens],
        images: [...images.values()],
        deregistered: [...deregistered.values()],
        keyPairs: [...keyPairs.values()],
        rootTasks: [...rootTasks.values()],
      });
      // Slots first: a map must never refer to a slot that the slot file does not know.
      slots.write();
      writeFileSync(`${file}.new`, text, { mode: 0o600 });
      renameSync(`${file}.new`, file);
      slots.saved();
    },
  };
}

export type World = ReturnType<typeof openWorld>;

/** Moves on what time moves on: pending snapshots complete, abandoned ones fail. */
export function settle(world: World, snapshot: Snapshot): Snapshot {
  if (snapshot.state !== 'pending') return snapshot;
  const now = world.clock.now().getTime();
  if (snapshot.completesAt !== null && now >= Date.parse(snapshot.completesAt)) {
    snapshot.state = 'completed';
    world.changed();
  } else if (
    snapshot.written &&
    snapshot.completesAt === null &&
    now - Date.parse(snapshot.written.lastWriteAt) > snapshot.written.idleMs
  ) {
    snapshot.state = 'error';
    snapshot.stateMessage = 'The snapshot was not completed before its time-out.';
    world.changed();
  }
  return snapshot;
}

/** An instance on its way to another state is there once its time has come. */
export function settleInstance(world: World, instance: Instance): Instance {
  const { transition } = instance;
  if (transition === null || world.clock.now().getTime() < Date.parse(transition.at)) return instance;
  instance.state = transition.to;
  instance.transition = null;
  world.changed();
  return instance;
}

/** What StartSnapshot made is not found at once everywhere: AWS is eventually consistent, as far as a setting says so. */
export function isVisible(world: World, snapshot: Snapshot): boolean {
  const { snapshotVisibleAfterMs } = world.settings.values();
  const ageMs = world.clock.now().getTime() - Date.parse(snapshot.startedAt);
  return snapshot.written === null || ageMs >= snapshotVisibleAfterMs;
}

/** A snapshot as its owner sees it; another account's, or another region's, does not exist. */
export function findSnapshot(world: World, request: AwsRequest, id: string): Snapshot | undefined {
  const snapshot = world.snapshots.get(id);
  return snapshot &&
    snapshot.accountId === request.caller.accountId &&
    snapshot.awsRegion === request.awsRegion &&
    isVisible(world, snapshot)
    ? settle(world, snapshot)
    : undefined;
}
