/** An answer that was no success, with the problem's own words. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'ApiProblem';
    this.status = status;
    this.code = code;
  }
}

/** The API as a tenant or operator uses it: through the router, with one key. */
export function createApiClient(baseUrl: string, key: string) {
  return async function call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const response = await fetch(new URL(path, baseUrl), {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
    const problem = response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : {};
    throw new ApiProblem(
      response.status,
      problem.code ?? 'unknown',
      `${method} ${path}: ${problem.title ?? response.status}. ${problem.detail ?? ''}`,
    );
  };
}

export type ApiClient = ReturnType<typeof createApiClient>;

/**
 * Asks again until `done` says so.
 *
 * @throws Error with `what` when `timeoutMs` have passed
 */
export async function until<T>(
  ask: () => Promise<T>,
  done: (answer: T) => boolean,
  options: { what: string; timeoutMs: number; everyMs?: number; signal?: AbortSignal },
): Promise<T> {
  for (const deadline = performance.now() + options.timeoutMs; ; ) {
    options.signal?.throwIfAborted();
    const answer = await ask();
    if (done(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`${options.what}: not within ${options.timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 250));
  }
}
