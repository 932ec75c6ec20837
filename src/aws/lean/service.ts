import type { Clock } from '../../core/clock.ts';
import type { Wire, WireAnswer } from './wire.ts';
import { refusalOf } from './refusals.ts';
import { withRetries } from './retries.ts';
import type { Signing } from './signing.ts';

/** One call. `path` is encoded; the payload's hash (or `UNSIGNED-PAYLOAD`) stands in its headers. */
export type Call = {
  /** The address that the path is below, as the SDK resolves it. */
  base: URL;
  method: 'GET' | 'PUT';
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  body: Uint8Array | null;
  /** The longest body of an answer that is taken. */
  bodyBytesMax: number;
  /** Memory for the body of a good answer. It is not written to any more once the call has ended. */
  into?: Uint8Array | undefined;
};

/** Leave to send one request; what is returned is told how it ended (null: well). */
export type Gate = () => Promise<(error: Error | null) => void>;

/** A service of AWS in one region: signs, checks the host, sends, tries again. */
export type Service = {
  /** Throws what AWS or the line said, named as the SDK names it; Fault `residency_violation` for a host outside. */
  call(call: Call, gate?: Gate): Promise<WireAnswer>;
};

const open: Gate = async () => () => {};

/** Encoded as signatures want it. Source: IAM user guide, "UriEncode". */
export const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function target(path: string, query: Record<string, string>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${encoded(name)}=${encoded(value)}`);
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}

export function openService(parts: {
  wire: Wire;
  signing: Signing;
  clock: Clock;
  /** Throws for a host that requests may not leave for. */
  guard: (hostname: string) => void;
}): Service {
  const { wire, signing, clock, guard } = parts;

  async function attempt(call: Call): Promise<WireAnswer> {
    const { base, method, query, body, bodyBytesMax, into } = call;
    guard(base.hostname);
    const path = `${base.pathname.replace(/\/$/, '')}${call.path}`;
    const headers = await signing.sign({ origin: base, method, path, query, headers: call.headers });
    const request = { origin: base.origin, path: target(path, query), method, headers, body, bodyBytesMax, into };
    const answer = await wire.exchange(request);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw Object.assign(refusalOf(answer), { wrongTime: signing.learnTime(answer.headers['date']) });
  }

  async function admitted(call: Call, gate: Gate): Promise<WireAnswer> {
    const leave = await gate();
    try {
      const answer = await attempt(call);
      leave(null);
      return answer;
    } catch (error) {
      leave(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  return {
    call: (call, gate = open) =>
      withRetries(
        clock,
        () => admitted(call, gate),
        (error) => 'wrongTime' in error && error.wrongTime === true,
      ),
  };
}
