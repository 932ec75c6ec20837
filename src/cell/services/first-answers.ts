import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { and, eq, lt, sql } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { Fault } from '../../core/faults.ts';
import { answerKey, pepperedHash } from '../credentials.ts';
import type { Tx } from '../db/client.ts';
import { idempotencyKeys } from '../db/schema/tenants.ts';
import { enterTenant } from '../db/tenancy.ts';

/** How long a first answer is kept, as the API promises. */
const KEPT_MS = 24 * 60 * 60 * 1000;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A finished answer: status and the exact text of the body. */
export type Answer = { status: number; text: string };
/** A create with an Idempotency-Key. `scope` is the tenant's id, or `operator:<key id>`. `content` is canonical. */
export type RepeatableRequest = { scope: string; idempotencyKey: string; content: string };

function seal(key: Uint8Array, label: string, text: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(label));
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Uint8Array, label: string, sealed: Uint8Array): string {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(label));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
}

/** Held to the end of the transaction: whoever does not get it is told so, and does not wait. */
async function lock(tx: Tx, keyHash: Buffer): Promise<boolean> {
  const id = keyHash.readBigInt64BE().toString();
  const [row] = await tx.execute<{ held: boolean }>(
    sql`select pg_try_advisory_xact_lock(${id}::bigint) as held`,
    'objects',
  );
  return row?.held === true;
}

/**
 * Creates that are repeated give their first answer.
 *
 * The answer is written in the transaction of the effect, under a lock that ends with it. So a crash leaves either both
 * or neither, a failed request leaves nothing, and no key is ever wedged. (A row inserted first, in a transaction of its
 * own, was rejected: after a crash it says neither whether the effect happened nor who may take over.)
 *
 * @throws Fault `idempotency_in_flight`, `idempotency_key_reused`
 */
export function createFirstAnswers({ pepper, clock }: { pepper: Uint8Array; clock: Clock }) {
  return async function once(
    tx: Tx,
    request: RepeatableRequest,
    work: () => Promise<Answer>,
  ): Promise<Answer & { replayed: boolean }> {
    const { scope, idempotencyKey, content } = request;
    const hash = pepperedHash(pepper, 'idempotency-key', `${scope}\n${idempotencyKey}`);
    const keyHash = hash.toString('base64url');
    const requestHash = pepperedHash(pepper, 'idempotency-request', content).toString('base64url');
    const key = answerKey(pepper, scope, idempotencyKey);
    if (!(await lock(tx, hash)))
      throw new Fault('idempotency_in_flight', 'The first request with this key has not ended. Repeat it in a moment.');
    await enterTenant(tx, scope);
    const mine = eq(idempotencyKeys.tenantId, scope);
    const expired = lt(idempotencyKeys.createdAt, new Date(clock.now().getTime() - KEPT_MS));
    await tx.delete(idempotencyKeys).where(and(mine, expired));
    const [row] = await tx
      .select()
      .from(idempotencyKeys)
      .where(and(mine, eq(idempotencyKeys.keyHash, keyHash)));
    if (row && row.requestHash !== requestHash)
      throw new Fault(
        'idempotency_key_reused',
        'This key was used for another request. Use a new one for each request.',
      );
    if (row?.status && row.sealedResponse)
      return { status: row.status, text: open(key, `${row.status} ${keyHash}`, row.sealedResponse), replayed: true };
    const answer = await work();
    await enterTenant(tx, scope);
    await tx.insert(idempotencyKeys).values({
      tenantId: scope,
      keyHash,
      requestHash,
      status: answer.status,
      sealedResponse: seal(key, `${answer.status} ${keyHash}`, answer.text),
      createdAt: clock.now(),
    });
    return { ...answer, replayed: false };
  };
}

export type Once = ReturnType<typeof createFirstAnswers>;
