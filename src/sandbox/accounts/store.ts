import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';

export type AccessKey = { accessKeyId: string; secretAccessKey: string; accountId: string; userName: string | null };
export type Role = {
  name: string;
  path: string;
  id: string;
  arn: string;
  trust: string;
  /** Immutable ids that the principals of the trust policy had when it was saved. */
  trustBindings: Record<string, string>;
  inline: Record<string, string>;
  attached: string[];
  description: string;
  /** ARN of the managed policy that is the permissions boundary. */
  boundary?: string;
  tags?: Record<string, string>;
  maxSessionSeconds: number;
  createdAt: string;
};
export type User = {
  name: string;
  id: string;
  arn: string;
  inline: Record<string, string>;
  boundary?: string;
  createdAt: string;
};
export type ManagedPolicy = { name: string; id: string; arn: string; document: string; createdAt: string };
export type Session = {
  accessKeyId: string;
  secretAccessKey: string;
  token: string;
  accountId: string;
  roleName: string;
  roleId: string;
  /** Only of GetSessionToken, which has no role: the user, or null for the account's root. */
  userName?: string | null;
  sessionName: string;
  policies: string[] | null;
  tags: Record<string, string>;
  /** Names of the tags that a session assumed from this one inherits. */
  transitive?: string[];
  sourceIdentity?: string;
  issuedAt: string;
  expiresAt: string;
};
export type Account = {
  id: string;
  rootKey: AccessKey;
  roles: Record<string, Role>;
  users: Record<string, User>;
  policies: Record<string, ManagedPolicy>;
};
type State = { accounts: Record<string, Account>; keys: Record<string, AccessKey>; sessions: Record<string, Session> };

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** An id such as AROA…: AWS's prefix and 16 characters of base 32. */
export function uniqueId(prefix: string): string {
  return prefix + Array.from(randomBytes(16), (byte) => ALPHABET[byte & 31]).join('');
}

export const secretKey = (): string => randomBytes(30).toString('base64');

/** Accounts, principals and credentials, with their state in one file that is replaced as a whole. */
export function createAccountStore(dir: string, clock: Clock) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, 'accounts.json');
  const state: State = existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8'))
    : { accounts: {}, keys: {}, sessions: {} };
  let dirty = false;
  const changed = () => {
    dirty = true;
  };
  const earlier = new Map<string, { untilMs: number; account: Account }[]>();
  return {
    changed,
    account: (id: string): Account | undefined => state.accounts[id],
    /** Keeps the account as it is before a change that takes effect so much later, in the sandbox's time. */
    delayChange(id: string, ms: number): void {
      const account = state.accounts[id];
      if (ms === 0 || !account) return;
      const kept = { untilMs: clock.now().getTime() + ms, account: structuredClone(account) };
      earlier.set(id, [...(earlier.get(id) ?? []), kept]);
    },
    /** The account as decisions see it: without the changes that did not take effect yet. */
    effective(id: string): Account | undefined {
      const nowMs = clock.now().getTime();
      const pending = (earlier.get(id) ?? []).filter(({ untilMs }) => untilMs > nowMs);
      if (pending.length === 0) earlier.delete(id);
      return pending[0]?.account ?? state.accounts[id];
    },
    /** The account of that number, made with root credentials when it does not exist. */
    ensureAccount(id: string): Account {
      const known = state.accounts[id];
      if (known) return known;
      const rootKey = { accessKeyId: uniqueId('AKIA'), secretAccessKey: secretKey(), accountId: id, userName: null };
      const account: Account = { id, rootKey, roles: {}, users: {}, policies: {} };
      state.accounts[id] = account;
      state.keys[rootKey.accessKeyId] = rootKey;
      changed();
      return account;
    },
    key: (accessKeyId: string): AccessKey | undefined => state.keys[accessKeyId],
    keysOf: (accountId: string, userName: string) =>
      Object.values(state.keys).filter((key) => key.accountId === accountId && key.userName === userName),
    putKey(key: AccessKey): void {
      state.keys[key.accessKeyId] = key;
      changed();
    },
    deleteKey(accessKeyId: string): void {
      delete state.keys[accessKeyId];
      changed();
    },
    session: (accessKeyId: string): Session | undefined => state.sessions[accessKeyId],
    putSession(session: Session): void {
      state.sessions[session.accessKeyId] = session;
      changed();
    },
    save(): void {
      if (!dirty) return;
      dirty = false;
      const dayAgo = clock.now().getTime() - 86_400_000;
      for (const session of Object.values(state.sessions)) {
        if (Date.parse(session.expiresAt) < dayAgo) delete state.sessions[session.accessKeyId];
      }
      writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}

export type AccountStore = ReturnType<typeof createAccountStore>;
