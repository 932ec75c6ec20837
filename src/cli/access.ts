import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Api, createApi } from './api-client.ts';
import { type Profile, readConfig } from './config-file.ts';
import type { Context, GlobalOptions } from './context.ts';
import { readDemo } from './demo-file.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageError } from './failure.ts';

/**
 * Reads a certificate authority.
 *
 * @throws Failure when the file cannot be read
 */
function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw usageError(`The CA file ${path} cannot be read`);
  }
}

/** Who the user is and where the service is: options win over the environment, and that over the login. */
export function createAccess(context: Context, options: () => GlobalOptions) {
  const { environment, terminal } = context;
  const opened: Api[] = [];

  function connect(url: string, apiKey: string | null, caFile: string | null): Api {
    const ca = caFile === null ? null : readCa(resolve(context.folder, caFile));
    const api = createApi({ url, apiKey, ca, clock: context.clock, signal: context.signal });
    opened.push(api);
    return api;
  }

  function profile(): Profile | null {
    const { current, profiles } = readConfig(context.configPath);
    const name = options().profile;
    const found = profiles[name ?? current] ?? null;
    if (name !== undefined && found === null) {
      throw new Failure(EXIT.notAllowed, `There is no profile ${name}`, {
        next: `domicile login --profile ${name} --url <url> --api-key-stdin`,
      });
    }
    return found;
  }

  const urlOf = (saved: Profile | null) => options().url ?? environment.url ?? saved?.url ?? null;
  const caFileOf = (saved: Profile | null) => options().caFile ?? environment.caFile ?? saved?.caFile ?? null;

  /** The API as the tenant. */
  function api(): Api {
    const saved = profile();
    const [url, apiKey] = [urlOf(saved), environment.apiKey ?? saved?.apiKey];
    if (url === null || !apiKey) {
      throw new Failure(EXIT.notAllowed, 'Not logged in', {
        next: 'domicile login --url <url> --api-key-stdin   (or, beside a running demo: domicile login --demo eu)',
      });
    }
    if (environment.apiKey === undefined && saved && URL.parse(url)?.origin !== URL.parse(saved.url)?.origin) {
      terminal.hint(`Note: the key of ${saved.url} is sent to ${url}.`);
    }
    return connect(url, apiKey, caFileOf(saved));
  }

  /** The API without a key. */
  function publicApi(): Api {
    const saved = profile();
    const url = urlOf(saved);
    if (url === null) throw usageError('Which service?', 'Name it with --url.');
    return connect(url, null, caFileOf(saved));
  }

  /** The API as the operator: of a cell of the demo, or with DOMICILE_OPERATOR_KEY. */
  function operatorApi(demoCell: string | undefined): Api {
    if (demoCell !== undefined) {
      const demo = readDemo(context.folder, demoCell);
      return connect(urlOf(null) ?? demo.url, demo.operatorKey, caFileOf(null));
    }
    const saved = profile();
    const url = urlOf(saved);
    if (!environment.operatorKey || url === null) {
      throw new Failure(EXIT.notAllowed, 'No operator key', {
        next: 'Set DOMICILE_OPERATOR_KEY and --url, or use --demo <cell> beside a running demo.',
      });
    }
    return connect(url, environment.operatorKey, caFileOf(saved));
  }

  async function close(): Promise<void> {
    await Promise.all(opened.map((one) => one.close()));
  }

  return { connect, urlOf, caFileOf, api, publicApi, operatorApi, close };
}
