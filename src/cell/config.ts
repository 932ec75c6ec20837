import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { regionOf } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { type Endpoints, endpointsFrom } from '../aws/endpoints.ts';
import { regionOfKey } from '../aws/kms-arn.ts';
import type { VerifyingKey } from '../core/http-signature.ts';
import { isInJurisdiction } from '../core/residency.ts';

const PEPPER_BYTES_MIN = 32;

const text = z.string().min(1);
const file = text.transform((path, context) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    context.addIssue({ code: 'custom', message: `cannot be read: ${path}` });
    return z.NEVER;
  }
});
const pepper = file.transform((content, context) => {
  const bytes = new Uint8Array(Buffer.from(content.trim(), 'base64'));
  if (bytes.length >= PEPPER_BYTES_MIN) return bytes;
  context.addIssue({ code: 'custom', message: `must hold at least ${PEPPER_BYTES_MIN} bytes in base 64` });
  return z.NEVER;
});
const publicKey = file.transform((content): VerifyingKey => {
  const { kid = '', kty, crv, x } = JSON.parse(content) as JsonWebKey & { kid?: string };
  return { keyId: kid, publicKey: { kty: kty ?? '', crv: crv ?? '', x: x ?? '' } };
});
const region = text.transform((cell, context): Region => {
  const known = regionOf(cell);
  if (known) return known;
  context.addIssue({ code: 'custom', message: `there is no region ${cell} in regions/` });
  return z.NEVER;
});
const json = <T extends z.ZodType>(schema: T) =>
  text
    .transform((content, context): unknown => {
      try {
        return JSON.parse(content);
      } catch {
        context.addIssue({ code: 'custom', message: 'is not JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
const arn = text.regex(/^arn:[a-z-]+:/, 'must be an ARN');
const keyArn = text.refine((value) => regionOfKey(value) !== undefined, 'must be the ARN of a KMS key (not an alias)');

const settings = z.object({
  CELL: region,
  LISTEN_HOST: text.default('127.0.0.1'),
  LISTEN_PORT: z.coerce.number().int().min(0).max(65_535),
  PUBLIC_URL: z.url(),
  CELL_URLS: json(z.record(z.string(), z.url())),
  /** Tiers that this process runs: two services in production, one when developing. */
  TIERS: z
    .string()
    .default('api,worker')
    .transform((tiers) => tiers.split(','))
    .pipe(z.array(z.enum(['api', 'worker'])).min(1)),
  TLS_CERT_FILE: text,
  TLS_KEY_FILE: text,
  TLS_CA_CERT_FILE: text,
  /** With the authority's key the cell makes its own leaves; without it rotation is somebody else's. */
  TLS_CA_KEY_FILE: text.optional(),
  API_DATABASE_URL: z.url(),
  WORKER_DATABASE_URL: z.url(),
  PEPPER_FILE: pepper,
  ROUTER_PUBLIC_KEY_FILE: publicKey.optional(),
  DATA_KEY_ARN: arn,
  TOKEN_KEY_ARN: arn,
  /** Data keys that came before, separated by commas, while what they wrapped is wrapped anew. */
  FORMER_DATA_KEY_ARNS: text
    .transform((list) => list.split(',').map((one) => one.trim()))
    .pipe(z.array(keyArn))
    .default([]),
  /** A key in another AWS region of the jurisdiction, for which each data key is wrapped too. */
  RECOVERY_KEY_ARN: keyArn.optional(),
  VAULT_BUCKET: text,
  VAULT_BUCKET_OWNER: z.string().regex(/^\d{12}$/),
  CONNECTOR_ROLE_ARN: arn,
  TEMPLATE_BASE_URL: z.url().optional(),
  API_CREDENTIALS_URI: z.url().optional(),
  WORKER_CREDENTIALS_URI: z.url().optional(),
  CREDENTIALS_TOKEN: text.optional(),
  /** Threads that copy blocks: one for each core when it is not set; 0 copies in the main thread. */
  COPY_THREADS: z.coerce.number().int().min(0).max(64).optional(),
  /** How fast the vault is read to verify it: MiB a second, of each process. */
  VERIFY_MIB_PER_SEC: z.coerce.number().min(1).default(64),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

/** The recovery region is another one, so that one region's failure leaves a key; and it is inside, so that none leaves. */
const schema = settings.superRefine(({ CELL, RECOVERY_KEY_ARN }, context) => {
  if (RECOVERY_KEY_ARN === undefined) return;
  const awsRegion = regionOfKey(RECOVERY_KEY_ARN) ?? '';
  const wrong = (message: string) => context.addIssue({ code: 'custom', path: ['RECOVERY_KEY_ARN'], message });
  if (!isInJurisdiction(CELL, awsRegion)) wrong(`${awsRegion} is outside ${CELL.jurisdiction.name}`);
  if (awsRegion === CELL.homeAwsRegion) wrong(`must be in another AWS region than ${awsRegion}, the cell's own`);
});

export type CellConfig = z.infer<typeof schema> & { endpoints: Endpoints };

/**
 * A cell's settings, from its environment: the only place that reads it.
 *
 * @throws Error with one line for every setting that is missing or wrong
 */
export function readConfig(env: Record<string, string | undefined>): CellConfig {
  const parsed = schema.safeParse(env);
  if (!parsed.success)
    throw new Error(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'));
  return { ...parsed.data, endpoints: endpointsFrom(env, parsed.data.CELL) };
}
