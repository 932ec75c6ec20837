import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { actionsOn, type Attempt, OURS, THEIRS } from './vault-actions.ts';
import { type Caller, CALLERS, openVaultAccount, type VaultWorld } from './vault-account.ts';

/**
 * Who may do what in a vault: what AWS, as the sandbox decides, answers to each call of each caller's session for one tenant. `yes` is
 * done, `–` is refused. The last three are no principals of the vault: the two tiers as themselves, and a role of the account that
 * IAM allows everything.
 */
const TABLE = `
                                 | writer | restorer | scrubber | deleter | extender | key-admin | connector | api | admin
read a pack                      | –      | yes      | yes      | –       | –        | –         | –         | –   | –
read a bundle                    | yes    | yes      | yes      | yes     | –        | –         | –         | –   | –
read a root                      | yes    | yes      | yes      | yes     | –        | –         | –         | –   | –
read an index key object         | yes    | yes      | yes      | yes     | –        | yes       | –         | –   | –
read a pack key object           | –      | yes      | yes      | –       | –        | yes       | –         | –   | –
read a checkpoint                | yes    | –        | –        | –       | –        | –         | –         | –   | –
see a lock                       | –      | –        | yes      | yes     | –        | –         | –         | –   | –
create a pack                    | yes    | –        | –        | –       | –        | –         | –         | –   | –
create a bundle                  | yes    | –        | –        | –       | –        | –         | –         | –   | –
create a root                    | yes    | –        | –        | –       | –        | –         | –         | –   | –
create a key object              | yes    | –        | –        | –       | –        | –         | –         | –   | –
create a checkpoint              | yes    | –        | –        | –       | –        | –         | –         | –   | –
create something else            | –      | –        | –        | –       | –        | –         | –         | –   | –
put without a condition          | –      | –        | –        | –       | –        | –         | –         | –   | –
create a pack, locked 89 days    | yes    | –        | –        | –       | –        | –         | –         | –   | –
create a pack, locked 91 days    | –      | –        | –        | –       | –        | –         | –         | –   | –
create a key object, locked      | –      | –        | –        | –       | –        | –         | –         | –   | –
replace a pack                   | –      | –        | –        | –       | –        | –         | –         | –   | –
replace a pack that is known     | –      | –        | –        | –       | –        | –         | –         | –   | –
replace a root that is known     | –      | –        | –        | –       | –        | –         | –         | –   | –
replace a key object             | –      | –        | –        | –       | –        | –         | –         | –   | –
replace a key object, known      | –      | –        | –        | –       | –        | yes       | –         | –   | –
copy a pack                      | –      | –        | –        | –       | –        | –         | –         | –   | –
begin a multipart upload         | –      | –        | –        | –       | –        | –         | –         | –   | –
delete a pack                    | –      | –        | –        | yes     | –        | –         | –         | –   | –
delete a root                    | –      | –        | –        | yes     | –        | –         | –         | –   | –
delete a key object              | –      | –        | –        | yes     | –        | yes       | –         | –   | –
delete a checkpoint              | –      | –        | –        | yes     | –        | –         | –         | –   | –
destroy a version of a pack      | –      | –        | –        | –       | –        | –         | –         | –   | –
destroy a version of a root      | –      | –        | –        | –       | –        | –         | –         | –   | –
destroy a version of a key       | –      | –        | –        | –       | –        | yes       | –         | –   | –
lock a pack 89 days              | yes    | –        | –        | –       | yes      | –         | –         | –   | –
lock a pack 91 days              | –      | –        | –        | –       | –        | –         | –         | –   | –
lock a bundle                    | yes    | –        | –        | –       | yes      | –         | –         | –   | –
lock a root                      | yes    | –        | –        | –       | yes      | –         | –         | –   | –
lock a key object                | –      | –        | –        | –       | –        | –         | –         | –   | –
lock a checkpoint                | –      | –        | –        | –       | –        | –         | –         | –   | –
list the tenant's names          | yes    | yes      | yes      | yes     | yes      | yes       | –         | –   | yes
list the tenant's versions       | –      | –        | –        | –       | –        | yes       | –         | –   | yes
list another tenant's names      | –      | –        | –        | –       | –        | –         | –         | –   | yes
list another tenant's versions   | –      | –        | –        | –       | –        | –         | –         | –   | yes
list the whole bucket            | –      | –        | –        | –       | –        | –         | –         | –   | yes
make a pack's data key           | yes    | –        | –        | –       | –        | –         | –         | –   | –
make an index data key           | yes    | –        | –        | –       | –        | –         | –         | –   | –
make a configuration's data key  | yes    | –        | –        | –       | –        | –         | –         | –   | –
make a data key for anything     | –      | –        | –        | –       | –        | –         | –         | –   | –
make a key of another cell       | –      | –        | –        | –       | –        | –         | –         | –   | –
open a pack's data key           | –      | yes      | yes      | –       | –        | yes       | –         | –   | –
open an index data key           | yes    | yes      | yes      | yes     | –        | yes       | –         | –   | –
open a configuration's data key  | –      | yes      | –        | –       | –        | –         | –         | –   | –
wrap a pack's data key           | –      | –        | –        | –       | –        | yes       | –         | –   | –
wrap an index data key           | –      | –        | –        | –       | –        | yes       | –         | –   | –
wrap a configuration's data key  | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: read a root      | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: read a pack      | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: read a key       | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: create a pack    | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: delete a pack    | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: lock a pack      | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: destroy a key    | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: make a key       | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: open a pack key  | –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: open an index key| –      | –        | –        | –       | –        | –         | –         | –   | –
another tenant: wrap a key       | –      | –        | –        | –       | –        | –         | –         | –   | –
see the bucket's place           | –      | –        | –        | –       | –        | –         | yes       | –   | yes
see the data key's state         | –      | –        | –        | –       | –        | –         | yes       | –   | yes
become the writer                | –      | –        | –        | –       | –        | –         | yes       | –   | –
become the restorer              | –      | –        | –        | –       | –        | –         | yes       | –   | –
become the scrubber              | –      | –        | –        | –       | –        | –         | yes       | –   | –
become the deleter               | –      | –        | –        | –       | –        | –         | yes       | –   | –
become the extender              | –      | –        | –        | –       | –        | –         | yes       | –   | –
become the key admin             | –      | –        | –        | –       | –        | –         | –         | –   | yes
change the bucket's policy       | –      | –        | –        | –       | –        | –         | –         | –   | yes
change the data key's policy     | –      | –        | –        | –       | –        | –         | –         | –   | yes
`;

function attemptsOn(vault: VaultWorld): Record<string, Attempt> {
  const on = actionsOn(vault);
  return {
    'read a pack': on.read('pack'),
    'read a bundle': on.read('bundle'),
    'read a root': on.read('root'),
    'read an index key object': on.read('index key'),
    'read a pack key object': on.read('pack key'),
    'read a checkpoint': on.read('checkpoint'),
    'see a lock': on.seeLock(),
    'create a pack': on.create('pack'),
    'create a bundle': on.create('bundle'),
    'create a root': on.create('root'),
    'create a key object': on.create('pack key'),
    'create a checkpoint': on.create('checkpoint'),
    'create something else': on.create('stranger'),
    'put without a condition': on.create('pack', OURS, {}),
    'create a pack, locked 89 days': on.createLocked('pack', 89),
    'create a pack, locked 91 days': on.createLocked('pack', 91),
    'create a key object, locked': on.createLocked('index key', 1),
    'replace a pack': on.replace('pack', false),
    'replace a pack that is known': on.replace('pack', true),
    'replace a root that is known': on.replace('root', true),
    'replace a key object': on.replace('pack key', false),
    'replace a key object, known': on.replace('pack key', true),
    'copy a pack': on.copy('pack'),
    'begin a multipart upload': on.upload(),
    'delete a pack': on.remove('pack'),
    'delete a root': on.remove('root'),
    'delete a key object': on.remove('index key'),
    'delete a checkpoint': on.remove('checkpoint'),
    'destroy a version of a pack': on.destroy('pack'),
    'destroy a version of a root': on.destroy('root'),
    'destroy a version of a key': on.destroy('index key'),
    'lock a pack 89 days': on.lock('pack', 89),
    'lock a pack 91 days': on.lock('pack', 91),
    'lock a bundle': on.lock('bundle', 1),
    'lock a root': on.lock('root', 1),
    'lock a key object': on.lock('index key', 1),
    'lock a checkpoint': on.lock('checkpoint', 1),
    "list the tenant's names": on.list(`t/${OURS}/v1/vol-1/`),
    "list the tenant's versions": on.listVersions(`t/${OURS}/v1/vol-1/`),
    "list another tenant's names": on.list(`t/${THEIRS}/v1/`),
    "list another tenant's versions": on.listVersions(`t/${THEIRS}/v1/`),
    'list the whole bucket': on.list(undefined),
    "make a pack's data key": on.makeKey('pack'),
    'make an index data key': on.makeKey('index'),
    "make a configuration's data key": on.makeKey('configuration'),
    'make a data key for anything': on.makeKeyForAnything(),
    'make a key of another cell': on.makeKey('pack', OURS, 'us'),
    "open a pack's data key": on.openKey('pack'),
    'open an index data key': on.openKey('index'),
    "open a configuration's data key": on.openKey('configuration'),
    "wrap a pack's data key": on.wrapKey('pack'),
    'wrap an index data key': on.wrapKey('index'),
    "wrap a configuration's data key": on.wrapKey('configuration'),
    'another tenant: read a root': on.read('root', THEIRS),
    'another tenant: read a pack': on.read('pack', THEIRS),
    'another tenant: read a key': on.read('index key', THEIRS),
    'another tenant: create a pack': on.create('pack', THEIRS),
    'another tenant: delete a pack': on.remove('pack', THEIRS),
    'another tenant: lock a pack': on.lock('pack', 1, THEIRS),
    'another tenant: destroy a key': on.destroy('index key', THEIRS),
    'another tenant: make a key': on.makeKey('pack', THEIRS),
    'another tenant: open a pack key': on.openKey('pack', THEIRS),
    'another tenant: open an index key': on.openKey('index', THEIRS),
    'another tenant: wrap a key': on.wrapKey('pack', THEIRS),
    "see the bucket's place": on.seeBucket(),
    "see the data key's state": on.seeKey(),
    'become the writer': on.become('writer'),
    'become the restorer': on.become('restorer'),
    'become the scrubber': on.become('scrubber'),
    'become the deleter': on.become('deleter'),
    'become the extender': on.become('extender'),
    'become the key admin': on.become('key-admin'),
    "change the bucket's policy": on.changePolicies('bucket'),
    "change the data key's policy": on.changePolicies('key'),
  };
}

type Answers = Record<Caller, string>;
const cellsOf = (line: string) => line.split('|').map((cell) => cell.trim());
const [head = '', ...lines] = TABLE.trim().split('\n');
const [, ...columns] = cellsOf(` ${head}`);
/** The table by row: what each caller is answered. */
const EXPECTED = lines.map((line): [string, Answers] => {
  const [action = '', ...answers] = cellsOf(line);
  return [action, Object.fromEntries(columns.map((caller, i) => [caller, answers[i]])) as Answers];
});

let vault: VaultWorld;
let attempts: Record<string, Attempt>;
const dir = mkdtempSync(join(tmpdir(), 'vault-'));
beforeAll(async () => {
  vault = await openVaultAccount(dir);
  attempts = attemptsOn(vault);
});
afterAll(async () => {
  await vault.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Done or refused; whatever else a call ends with is no answer to who may. */
async function answer(attempt: Attempt, caller: Caller): Promise<string> {
  try {
    await attempt(vault.as(caller, OURS));
    return 'yes';
  } catch (error) {
    if (error instanceof Error && /^AccessDenied(Exception)?$/.test(error.name)) return '–';
    throw error;
  }
}

test('every action is in the table for every caller, and no action twice', () => {
  expect(columns).toEqual(CALLERS);
  expect(EXPECTED.map(([action]) => action)).toEqual(Object.keys(attempts));
  for (const [action, answers] of EXPECTED)
    for (const caller of CALLERS) expect(['yes', '–'], `${action}: ${caller}`).toContain(answers[caller]);
});

test.each(EXPECTED)('who may: %s', async (action, answers) => {
  const attempt = attempts[action];
  if (!attempt) throw new Error(`${action} is in the table and cannot be tried`);
  const tried = CALLERS.map(async (caller) => [caller, await answer(attempt, caller)] as const);
  expect(Object.fromEntries(await Promise.all(tried))).toEqual(answers);
});
