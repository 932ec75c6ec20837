import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseApiKey } from '../core/api-keys.ts';
import { secretHash } from './credentials.ts';
import { migrate, putOperatorKey } from './db/migrate.ts';
import { installQueue } from './jobs/queue.ts';

// One-shot, as the database's owner, before the first start and after each upgrade: schema, roles, queue, operator key.

const schema = z.object({
  OWNER_DATABASE_URL: z.url(),
  API_DATABASE_PASSWORD: z.string().min(1),
  WORKER_DATABASE_PASSWORD: z.string().min(1),
  PEPPER_FILE: z.string().min(1),
  OPERATOR_KEY_FILE: z.string().min(1),
});

async function bootstrap(env: z.infer<typeof schema>): Promise<void> {
  const owner = env.OWNER_DATABASE_URL;
  await migrate(owner, { apiPassword: env.API_DATABASE_PASSWORD, workerPassword: env.WORKER_DATABASE_PASSWORD });
  await installQueue(owner);
  const key = parseApiKey(readFileSync(env.OPERATOR_KEY_FILE, 'utf8').trim());
  if (key?.kind !== 'ok') throw new Error('OPERATOR_KEY_FILE does not hold an operator key');
  const pepper = new Uint8Array(Buffer.from(readFileSync(env.PEPPER_FILE, 'utf8').trim(), 'base64'));
  await putOperatorKey(owner, { keyId: key.id, secretHash: secretHash(pepper, key.secret), name: 'bootstrap' });
}

const CONFIGURATION_EXIT = 78;
const parsed = schema.safeParse(process.env);
if (parsed.success) {
  await bootstrap(parsed.data);
} else {
  process.stderr.write(
    `${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n')}\n`,
  );
  process.exitCode = CONFIGURATION_EXIT;
}
