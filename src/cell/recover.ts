import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { recoveredPointsSchema } from '../contract/recovered-points.ts';
import { systemClock } from '../core/clock.ts';
import { isId } from '../core/ids.ts';
import { createLogger } from '../core/log.ts';
import { openDatabase } from './db/client.ts';
import { rowsOf } from './recovery/rows.ts';
import { writeRecovered } from './recovery/write.ts';

// One-shot, as the database's owner, with the worker tier stopped: rows of the points that `domicile vault recover` has found.

const schema = z
  .object({
    OWNER_DATABASE_URL: z.url(),
    /** Both: a tenant that is missing gets an API key, written there. */
    PEPPER_FILE: z.string().min(1).optional(),
    API_KEY_FILE: z.string().min(1).optional(),
    POINTS_FILE: z.string('name the file that domicile vault recover has written'),
  })
  .refine((env) => (env.PEPPER_FILE === undefined) === (env.API_KEY_FILE === undefined), {
    message: 'PEPPER_FILE and API_KEY_FILE go together',
  });

/** The key goes into a file that nobody had: it is made first, so that no key is made that cannot be kept. */
async function keepKey<R extends { apiKey: string | null }>(
  file: string | undefined,
  make: () => Promise<R>,
): Promise<R> {
  if (file === undefined) return make();
  const handle = openSync(file, 'wx', 0o600);
  let key: string | null = null;
  try {
    const made = await make();
    key = made.apiKey;
    if (key !== null) writeSync(handle, `${key}\n`);
    return made;
  } finally {
    closeSync(handle);
    if (key === null) rmSync(file);
  }
}

async function recover(env: z.infer<typeof schema>): Promise<void> {
  const file = recoveredPointsSchema.parse(JSON.parse(readFileSync(env.POINTS_FILE, 'utf8')));
  const { cell, tenantId, unreadable } = file;
  if (!isId('tenant', tenantId, cell)) throw new Error(`${tenantId} is no tenant of the cell ${cell}`);
  const rows = rowsOf(file);
  const { OWNER_DATABASE_URL: url, PEPPER_FILE: pepperFile } = env;
  const pepper = pepperFile === undefined ? null : Buffer.from(readFileSync(pepperFile, 'utf8').trim(), 'base64');
  const database = openDatabase({ url, maxConnections: 1, log: createLogger({ level: 'warn' }) });
  try {
    const deps = { clock: systemClock, cell, tenantId, pepper: pepper && new Uint8Array(pepper) };
    const { apiKey: _, ...report } = await keepKey(env.API_KEY_FILE, () => writeRecovered(database.db, rows, deps));
    process.stdout.write(`${JSON.stringify({ tenantId, ...report, unknown: rows.unknown, unreadable })}\n`);
  } finally {
    await database.close();
  }
}

const CONFIGURATION_EXIT = 78;
const parsed = schema.safeParse({ ...process.env, POINTS_FILE: process.argv[2] });
if (parsed.success) {
  await recover(parsed.data);
} else {
  process.stderr.write(
    `${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n')}\n`,
  );
  process.exitCode = CONFIGURATION_EXIT;
}
