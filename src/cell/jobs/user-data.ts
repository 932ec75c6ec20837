import { type SealedText, userDataOf } from '../../aws/instances.ts';
import { captureStep } from '../../aws/policies/session.ts';
import { isFault } from '../../core/faults.ts';
import { openText, sealText } from '../../crypto/sealed-text.ts';
import type { KeyContext } from '../../vault/ports.ts';
import { inVault } from './vault-principals.ts';
import { type ConnectionRow, inAccount, stepOf, type Worker } from './worker.ts';

type Owner = { tenantId: string; instanceId: string; jobId: string };

const contextOf = (worker: Worker, { tenantId, instanceId, jobId }: Owner): KeyContext => ({
  cell: worker.region.cell,
  tenant: tenantId,
  volume: instanceId,
  run: jobId,
  purpose: 'configuration',
});
const placeOf = (context: KeyContext) =>
  [context.cell, context.tenant, context.volume, context.run, context.purpose].join('/');

/**
 * An instance's user data, sealed before it is stored: start-up scripts hold passwords, and a reader of the database
 * must not. Null where there is none; undefined where the role may not read it.
 */
export async function captureUserData(
  worker: Worker,
  connection: ConnectionRow,
  source: Owner & { awsRegion: string },
): Promise<SealedText | null | undefined> {
  const { awsRegion, instanceId, jobId } = source;
  const policy = captureStep(stepOf(worker, connection, awsRegion), instanceId);
  const text = await inAccount(worker, connection, { awsRegion, jobId, policy }, ({ ec2 }) =>
    userDataOf(ec2, awsRegion, instanceId),
  ).catch((error: unknown) => {
    if (isFault(error, 'missing_permission')) return undefined;
    throw error;
  });
  if (text === undefined || text === null) return text;
  const context = contextOf(worker, source);
  const asWriter = { principal: 'writer', tenantId: source.tenantId } as const;
  const { key, wrapped } = await inVault(worker, asWriter, ({ keys }) => keys.generate(context));
  const { nonce, sealed } = sealText(key, placeOf(context), text);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  return { wrappedKey: base64(wrapped), nonce: base64(nonce), sealed: base64(sealed) };
}

/** Base64 of the user data, as EC2 takes it. */
export async function openUserData(worker: Worker, owner: Owner, box: SealedText): Promise<string> {
  const context = contextOf(worker, owner);
  const asRestorer = { principal: 'restorer', tenantId: owner.tenantId } as const;
  const wrapped = Buffer.from(box.wrappedKey, 'base64');
  const key = await inVault(worker, asRestorer, ({ keys }) => keys.unwrap(wrapped, context));
  const bytes = { nonce: Buffer.from(box.nonce, 'base64'), sealed: Buffer.from(box.sealed, 'base64') };
  return openText(key, placeOf(context), bytes);
}
