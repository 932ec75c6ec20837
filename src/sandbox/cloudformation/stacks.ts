import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { Made } from './iam-resources.ts';

/** How long a stack is on its way: what it makes is there at once, its status says so a moment later. */
const SETTLES_AFTER_MS = 500;

export type StackResource = Made & { logicalId: string; type: string; properties: Record<string, unknown> };
export type StackEvent = {
  id: string;
  time: string;
  logicalId: string;
  physicalId: string;
  type: string;
  status: string;
  reason: string | null;
};
export type Stack = {
  accountId: string;
  awsRegion: string;
  name: string;
  id: string;
  /** The status that it ends in, and the one it shows until `settlesAt`. */
  status: string;
  underway: string;
  settlesAt: string;
  reason: string | null;
  description: string | null;
  template: string;
  parameters: Record<string, string>;
  capabilities: string[];
  outputs: { key: string; value: string; description: string | null }[];
  resources: StackResource[];
  events: StackEvent[];
  tags: Record<string, string>;
  createdAt: string;
  updatedAt: string | null;
  deletedAt: string | null;
};

/** Stacks of all accounts and regions, in one file that is replaced as a whole. */
export function openStacks(dir: string, clock: Clock) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, 'stacks.json');
  const stacks: Stack[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  let dirty = false;
  return {
    all: stacks,
    changed() {
      dirty = true;
    },
    /** The newest stack of that name or id which is not deleted; by id, a deleted one as well. */
    find(accountId: string, awsRegion: string, nameOrId: string): Stack | undefined {
      return stacks.findLast(
        (stack) =>
          stack.accountId === accountId &&
          stack.awsRegion === awsRegion &&
          (stack.id === nameOrId || (stack.name === nameOrId && stack.deletedAt === null)),
      );
    },
    settlesAt: () => new Date(clock.now().getTime() + SETTLES_AFTER_MS).toISOString(),
    statusOf: (stack: Stack) => (clock.now().getTime() < Date.parse(stack.settlesAt) ? stack.underway : stack.status),
    save(): void {
      if (!dirty) return;
      dirty = false;
      writeFileSync(`${file}.new`, JSON.stringify(stacks), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}

export type Stacks = ReturnType<typeof openStacks>;
