import { fileURLToPath } from 'node:url';
import { REGIONS } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { folderData, inChunks, noise } from '../stranger/disk-content.ts';
import type { AwsAccess } from '../stranger/ebs-reader.ts';
import { createStack, runInstance } from '../stranger/customer-account.ts';
import type { Account, SandboxControl } from '../stranger/sandbox-control.ts';
import { type ApiClient, createApiClient, until } from './api-client.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
export const DEMO_TAG = { key: 'domicile:backup', value: 'true' };
const REAL_DATA = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** A demo tenant with its AWS account, kept in the state folder so that a second start continues with the same. */
export type DemoTenant = {
  cell: string;
  tenantId: string;
  apiKey: string;
  connectionId: string;
  planId: string | null;
  roleName: string;
  account: Account & { awsRegion: string; instanceId: string; volumeIds: string[]; kmsKeyArn: string };
};

/** A raw disk image of the user's own, in place of the generated disks. */
export type DiskImage = { bytes: number; read(): AsyncIterable<Uint8Array> };

/** One account number for each cell's demo customer. */
const accountIdOf = (region: Region) => `2222222222${11 + REGIONS.indexOf(region)}`;

export function accessOf(control: SandboxControl, account: Account & { awsRegion: string }): AwsAccess {
  // A copy: the SDK marks the object that it is given.
  const { accessKeyId, secretAccessKey, awsRegion } = account;
  return { endpoint: control.url, awsRegion, credentials: { accessKeyId, secretAccessKey } };
}

/**
 * Fills the disks: a tar of this project's dependencies over both, incompressible bytes after it, and holes between.
 * Together more than 1 GiB; the image, when there is one, takes the root disk instead.
 */
async function fillDisks(
  control: SandboxControl,
  account: Account,
  volumeIds: readonly string[],
  image: DiskImage | null,
): Promise<void> {
  const [root = '', data = ''] = volumeIds;
  if (image) return control.writeDisk(account, root, 0, inChunks(image.read()));
  const write = (volumeId: string, offset: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) =>
    control.writeDisk(account, volumeId, offset, inChunks(content));
  await write(root, MIB, folderData(REAL_DATA, { from: 0, bytes: 560 * MIB }));
  await write(root, 1200 * MIB, noise(`${root}`, 96 * MIB));
  await write(data, 0, folderData(REAL_DATA, { from: 560 * MIB, bytes: 300 * MIB }));
  await write(data, 500 * MIB, noise(`${data}`, 112 * MIB));
}

type Connection = { id: string; state: string; stateDetail: string | null; roleName: string; templateUrl: string };

/** Connects the account as a stranger would: by the stack that the connection offers, made with CloudFormation. */
async function connect(api: ApiClient, access: AwsAccess, account: DemoTenant['account']): Promise<Connection> {
  const connection = await api<Connection>('POST', '/v1/connections', {
    awsAccountId: account.awsAccountId,
    awsRegions: [account.awsRegion],
    tag: DEMO_TAG,
    kmsKeyArns: [account.kmsKeyArn],
    storage: 'vault',
    restore: true,
    restoreInPlace: true,
    cleanUp: true,
  });
  const template = await api<unknown>('GET', new URL(connection.templateUrl).pathname);
  await createStack(access, connection.roleName, JSON.stringify(template));
  await api('POST', `/v1/connections/${connection.id}/verify`);
  const path = `/v1/connections/${connection.id}`;
  const verified = await until(
    () => api<Connection>('GET', path),
    (now) => now.state !== 'PENDING',
    {
      what: `connection ${connection.id}`,
      timeoutMs: 60_000,
    },
  );
  if (verified.state !== 'CONNECTED')
    throw new Error(`connection ${connection.id} is ${verified.state}: ${verified.stateDetail}`);
  await until(
    () => api<{ items: { instanceId: string }[] }>('GET', '/v1/instances'),
    ({ items }) => items.some((item) => item.instanceId === account.instanceId),
    { what: `discovery of ${account.instanceId}`, timeoutMs: 60_000 },
  );
  return connection;
}

/** The demo customer of one cell, from an empty AWS account to a verified connection. */
export async function onboardCustomer(options: {
  region: Region;
  control: SandboxControl;
  routerUrl: string;
  operatorKey: string;
  image: DiskImage | null;
  say: (text: string) => void;
}): Promise<DemoTenant> {
  const { region, control, say, image } = options;
  const root = await control.account(accountIdOf(region));
  const awsRegion = region.homeAwsRegion;
  const access = accessOf(control, { ...root, awsRegion });
  say('running an instance and filling its disks with real data');
  const instance = await runInstance(access, {
    name: `demo-${region.cell}`,
    tag: DEMO_TAG,
    rootGiB: image ? Math.max(1, Math.ceil(image.bytes / GIB)) : 2,
    dataGiB: image ? 0 : 1,
  });
  const account = { ...root, awsRegion, ...instance };
  await fillDisks(control, root, instance.volumeIds, image);
  say('making a tenant and connecting the account');
  const operator = createApiClient(options.routerUrl, options.operatorKey);
  const { tenantId, apiKey } = await operator<{ tenantId: string; apiKey: string }>('POST', '/v1/tenants', {
    name: `Demo ${region.jurisdiction.name}`,
  });
  const { id: connectionId, roleName } = await connect(createApiClient(options.routerUrl, apiKey), access, account);
  return { cell: region.cell, tenantId, apiKey, connectionId, planId: null, roleName, account };
}

/** The plan of `npm start`: every minute, keep five. */
export async function createMinutePlan(routerUrl: string, tenant: DemoTenant): Promise<string> {
  const api = createApiClient(routerUrl, tenant.apiKey);
  const plan = await api<{ id: string }>('POST', '/v1/backup-plans', {
    name: 'Every minute',
    rules: [{ name: 'minute', cron: '* * * * *', timeZone: 'UTC', startWindowMinutes: 10, retention: { keepLast: 5 } }],
    selections: [{ connectionId: tenant.connectionId, tags: [DEMO_TAG] }],
  });
  return plan.id;
}

/** What the instance's software does between two backups: changes here and there, in both disks. */
export async function useDisks(control: SandboxControl, tenant: DemoTenant, seed: string): Promise<void> {
  for (const [n, volumeId] of tenant.account.volumeIds.entries()) {
    for (let i = 0; i < 4; i += 1) {
      const offset = (17 + 61 * i + 5 * n) * MIB + 4096 * i;
      await control.writeDisk(tenant.account, volumeId, offset, inChunks(noise(`${seed}:${volumeId}:${i}`, 300_000)));
    }
    await control.writeDisk(tenant.account, volumeId, 40 * MIB, inChunks([Buffer.alloc(MIB)])); // deleted data: zeros
  }
}
