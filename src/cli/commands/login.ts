import { resolve } from 'node:path';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { parseApiKey } from '../../core/api-keys.ts';
import { serviceUrl } from '../api-client.ts';
import { type Profile, readConfig, writeConfig } from '../config-file.ts';
import { readDemo } from '../demo-file.ts';
import { usageError } from '../failure.ts';
import type { Session } from '../session.ts';
import { facts } from '../table.ts';

async function givenKey(session: Session, fromStdin: boolean): Promise<string> {
  const key = fromStdin ? (await session.readStdin()).trim() : session.environment.apiKey;
  if (!key) {
    throw usageError(
      fromStdin ? 'No API key on standard input' : 'No API key',
      `read -rs KEY; printf %s "$KEY" | domicile login --url <url> --api-key-stdin`,
    );
  }
  const parts = parseApiKey(key);
  if (!parts) throw usageError('This is no API key of Domicile: its checksum does not hold', 'Copy it again, whole.');
  if (parts.kind === 'ok') {
    throw usageError(
      'This is an operator key',
      'Operator commands take it from DOMICILE_OPERATOR_KEY; it is not stored.',
    );
  }
  return key;
}

type Access = Pick<Profile, 'url' | 'apiKey' | 'caFile'>;

async function accessFrom(session: Session, options: { demo?: string; apiKeyStdin?: true }): Promise<Access> {
  const caFile = session.caFileOf(null);
  const absolute = caFile === null ? null : resolve(session.folder, caFile);
  if (options.demo !== undefined) {
    const demo = readDemo(session.folder, options.demo);
    return { url: session.urlOf(null) ?? demo.url, apiKey: demo.apiKey, caFile: absolute };
  }
  const url = session.urlOf(null);
  if (url === null) throw usageError('Which service?', 'Name it with --url.');
  serviceUrl(url);
  return { url, apiKey: await givenKey(session, options.apiKeyStdin === true), caFile: absolute };
}

/** Checks the key with the service, and only then keeps it. */
async function login(session: Session, options: { demo?: string; apiKeyStdin?: true }): Promise<void> {
  const access = await accessFrom(session, options);
  const tenant = await session.connect(access.url, access.apiKey, access.caFile).call('GET /v1/tenant');
  const name = session.profileName() ?? (options.demo === undefined ? 'default' : `demo-${options.demo}`);
  const profile = { ...access, tenantId: tenant.tenantId, tenantName: tenant.name };
  writeConfig(session.configPath, {
    current: name,
    profiles: { ...readConfig(session.configPath).profiles, [name]: profile },
  });
  session.show({ profile: name, url: access.url, ...tenant }, () =>
    facts({
      profile: name,
      service: access.url,
      tenant: `${tenant.name} (${tenant.tenantId})`,
      jurisdiction: tenant.jurisdiction,
    }),
  );
  session.hint(`Logged in. Kept in ${session.configPath}, readable only by you.`);
}

function logout(session: Session): void {
  const { current, profiles } = readConfig(session.configPath);
  const name = session.profileName() ?? current;
  const { [name]: gone, ...rest } = profiles;
  if (!gone) throw usageError(`There is no profile ${name}`);
  writeConfig(session.configPath, { current: Object.keys(rest)[0] ?? 'default', profiles: rest });
  session.show({ profile: name }, () => []);
  session.hint(`Profile ${name} is removed. Its key still works until it is revoked.`);
}

function showProfiles(session: Session): void {
  const { current, profiles } = readConfig(session.configPath);
  const items = Object.entries(profiles).map(([name, { url, tenantId, tenantName }]) => ({
    name,
    current: name === current,
    url,
    tenantId,
    tenantName,
  }));
  session.show({ items }, () =>
    items.map((item) => `${item.current ? '*' : ' '} ${item.name}  ${item.url}  ${item.tenantName}`),
  );
  if (items.length === 0) session.hint('No profiles: log in first.');
}

export function addLogin(program: CommandUnknownOpts, session: Session): void {
  program
    .command('login')
    .description(
      'Check an API key with the service and keep it. The key is read from standard input or from DOMICILE_API_KEY, never from an argument, which other users could see. Takes --url, --ca-file and --profile.',
    )
    .option('--api-key-stdin', 'read the API key from standard input')
    .option('--demo <cell>', 'log in to the demo tenant of a cell, from .domicile/demo.json in this folder')
    .action((options) => login(session, options));
  program
    .command('logout')
    .description('Forget a login (the current one, or --profile).')
    .action(() => logout(session));
  program
    .command('profiles')
    .description('List the logins; * is the current one.')
    .action(() => showProfiles(session));
}
