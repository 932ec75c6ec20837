import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Answer } from './api-client.ts';

type Connection = Answer<'GET /v1/connections/{id}'>;

/** The policies of a connection's role by the name of their file. */
function documentsOf({ trustPolicy, backupPolicy, restorePolicy, cleanUpPolicy }: Connection) {
  return {
    'trust-policy.json': trustPolicy,
    'backup-policy.json': backupPolicy,
    ...(restorePolicy ? { 'restore-policy.json': restorePolicy } : {}),
    ...(cleanUpPolicy ? { 'clean-up-policy.json': cleanUpPolicy } : {}),
  };
}

/** Writes the policies of a connection's role as files for the `aws` command. */
export function writePolicies(folder: string, connection: Connection): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, document] of Object.entries(documentsOf(connection))) {
    writeFileSync(join(folder, name), `${JSON.stringify(document, null, 2)}\n`);
  }
}

/** A word of a shell command, quoted where it must be. */
function shellWord(text: string): string {
  return /^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function roleCommands(connection: Connection, folder: string): string[] {
  const file = (name: string) => shellWord(`file://${join(folder, name)}`);
  const make = (role: string) =>
    `aws iam create-role --role-name ${shellWord(role)} --assume-role-policy-document ${file('trust-policy.json')}`;
  const put = (role: string, policy: string) =>
    `aws iam put-role-policy --role-name ${shellWord(role)} --policy-name domicile-${policy} --policy-document ${file(`${policy}-policy.json`)}`;
  const { roleName, cleanUpRoleName } = connection;
  return [
    make(roleName),
    put(roleName, 'backup'),
    ...(connection.restorePolicy ? [put(roleName, 'restore')] : []),
    ...(cleanUpRoleName === undefined ? [] : [make(cleanUpRoleName), put(cleanUpRoleName, 'clean-up')]),
  ];
}

/** What the owner of the account does next: create the role, in the console or with the `aws` command, then verify. */
export function nextSteps(connection: Connection, folder: string | undefined, invocation: string): string[] {
  const commands =
    folder === undefined
      ? [
          `${invocation} connections show ${connection.id} --out policies   # writes the policies and shows the aws commands`,
        ]
      : roleCommands(connection, folder);
  return [
    `Next, in account ${connection.awsAccountId}, create the role. In the console:`,
    `  ${connection.quickCreateUrl}`,
    'or with the aws command:',
    ...commands.map((command) => `  ${command}`),
    'then verify it:',
    `  ${invocation} connections verify ${connection.id} --wait`,
  ];
}
