import { createRoute, z } from '@hono/zod-openapi';
import { body, json, problemResponse, security, timestamp } from './common.ts';

/** An RSA key of 16,384 bits, which nobody has, takes less. */
const PEM_CHARACTERS_MAX = 4_096;
const PUBLIC_KEY = /^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/;
const PRIVATE_KEY = /PRIVATE KEY/i;

/** What is wrong with this text as a public key, before it is parsed; null when nothing is. Never repeats the text. */
export function recoveryKeyTextProblem(text: string): string | null {
  if (PRIVATE_KEY.test(text))
    return 'is a private key. It was not kept; but it has left your hands: make another pair, and send the public half';
  return PUBLIC_KEY.test(text) ? null : 'must be one public key in PEM (-----BEGIN PUBLIC KEY-----)';
}

const publicKey = z
  .string()
  .max(PEM_CHARACTERS_MAX)
  .superRefine((text, context) => {
    const message = recoveryKeyTextProblem(text);
    if (message !== null) context.addIssue({ code: 'custom', message });
  })
  .openapi({
    type: 'string',
    description: 'PEM of a SubjectPublicKeyInfo: RSA, 3,072 to 8,192 bits',
    example: '-----BEGIN PUBLIC KEY-----\nMIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKC\n-----END PUBLIC KEY-----\n',
  });

const recoveryKeySchema = z
  .object({
    fingerprint: z.string().openapi({
      description: 'SHA-256 (hex) of the DER SubjectPublicKeyInfo',
      example: '9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a',
    }),
    since: timestamp,
  })
  .openapi('RecoveryKey');

export const getRecoveryKey = createRoute({
  method: 'get',
  path: '/v1/tenant/recovery-key',
  operationId: 'getRecoveryKey',
  tags: ['Tenants'],
  summary: "The tenant's own recovery key",
  security,
  responses: { 200: json(recoveryKeySchema, 'For whom backups are sealed since when'), ...problemResponse },
});

export const setRecoveryKey = createRoute({
  method: 'put',
  path: '/v1/tenant/recovery-key',
  operationId: 'setRecoveryKey',
  tags: ['Tenants'],
  summary: "Set the tenant's own recovery key",
  description:
    'What backup jobs store from now on is sealed for it too: who holds its private half reads it from a copy of the bucket, without the service and without KMS. What was stored earlier is not, and a later point of the same volume builds on it: the operator wraps the older keys for it (`domicile vault rekey`), or the key is set before the first backup.',
  security,
  request: { body: body(z.strictObject({ publicKey }).openapi('RecoveryKeySet')) },
  responses: { 200: json(recoveryKeySchema, 'The key that is set'), ...problemResponse },
});

export const removeRecoveryKey = createRoute({
  method: 'delete',
  path: '/v1/tenant/recovery-key',
  operationId: 'removeRecoveryKey',
  tags: ['Tenants'],
  summary: "Remove the tenant's own recovery key",
  description: 'Backup jobs that begin from now on are not sealed for it any more. Those that were stay so.',
  security,
  responses: { 204: { description: 'Removed' }, ...problemResponse },
});
