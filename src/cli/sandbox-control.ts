import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { serviceUrl } from './api-client.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Failure, type Problem, usageError } from './failure.ts';
import type { Session } from './session.ts';

/** Where a sandbox is, as options of the `sandbox` commands say it. */
export type SandboxOptions = { dir: string; adminTokenFile?: string | undefined };

function fileText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    throw usageError(`${what} cannot be read: ${path}`, 'Start a sandbox there: domicile sandbox start');
  }
}

type Refusal = { message?: string; violations?: NonNullable<Problem['errors']> };

/** Calls the control API of a sandbox (`/_sandbox/…`) with its admin token. */
export function createSandboxAccess(session: Session, { dir, adminTokenFile }: SandboxOptions) {
  const folder = resolve(session.folder, dir);
  const root = serviceUrl(session.urlOption() ?? fileText(join(folder, 'url'), 'The address of the sandbox'));
  const token = fileText(resolve(session.folder, adminTokenFile ?? join(folder, 'admin-token')), 'The admin token');

  async function send(method: string, path: string, body?: object): Promise<Response> {
    try {
      return await fetch(new URL(`/_sandbox/${path}`, root), {
        method,
        headers: { authorization: `Bearer ${token}` },
        signal: session.signal,
        redirect: 'error',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (session.signal.aborted) throw error;
      throw new Failure(EXIT.unreachable, `${root.origin} cannot be reached`, {
        next: 'Start the sandbox: domicile sandbox start',
      });
    }
  }

  return {
    /**
     * @throws Failure what the sandbox refuses, with every violation that it names
     */
    async call(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
      const response = await send(method, path, body);
      const text = await response.text();
      const answer = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
      if (response.ok) return answer;
      const { message, violations } = answer as Refusal;
      throw new Failure(exitCodeOf(response.status), message ?? 'The sandbox refuses', {
        status: response.status,
        ...(violations ? { errors: violations } : {}),
      });
    },
  };
}
