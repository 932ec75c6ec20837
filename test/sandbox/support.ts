import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createSandbox } from '../../src/sandbox/server.ts';
import { createSandboxControl } from '../../src/stranger/sandbox-control.ts';

/** A sandbox of its own for a test, gone with it. */
export async function openSandbox() {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-'));
  const sandbox = await createSandbox({ dir });
  const control = createSandboxControl(sandbox.url, sandbox.adminToken);
  onTestFinished(async () => {
    await sandbox.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { sandbox, control, dir, endpoint: sandbox.url };
}

/** The code of the error that a call ends with, or null when it succeeds. */
export async function errorOf(call: Promise<unknown>): Promise<string | null> {
  try {
    await call;
    return null;
  } catch (error) {
    return error instanceof Error ? error.name : 'unknown';
  }
}
