import type { EBSClient } from '@aws-sdk/client-ebs';
import type { S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../core/clock.ts';

/** What is signed. `path` is encoded already; `query` is not. */
export type Unsigned = {
  origin: URL;
  method: 'GET' | 'PUT';
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
};

export type Signing = {
  /** The headers to send: those given, with host, date, session and signature. */
  sign(request: Unsigned): Promise<Record<string, string>>;
  /**
   * Learns from the `Date` of a refusal. True when our clock was wrong by so much that AWS may have refused for it, and
   * the next signature will have another time.
   */
  learnTime(date: string | undefined): boolean;
};

/** AWS takes signatures that are up to five minutes off; the SDK corrects its clock a minute before. */
const SKEW_MS = 240_000;

/**
 * Signatures of the SDK's own signer, with the client's own credentials: sessions of an hour are renewed where the SDK
 * renews them. A body is never read: its hash stands in `x-amz-content-sha256`.
 */
export function openSigning(
  client: EBSClient | S3Client,
  options: { service: 'ebs' | 's3'; awsRegion: string; clock: Clock },
): Signing {
  const { service, awsRegion, clock } = options;
  const signer = client.config.signer({
    name: 'sigv4',
    signingName: service,
    signingRegion: awsRegion,
    properties: {},
  });
  let aheadMs = 0;
  const now = () => new Date(clock.now().getTime() + aheadMs);
  return {
    async sign({ origin, method, path, query, headers }) {
      const { protocol, hostname, port, host } = origin;
      const toSign = { method, protocol, hostname, path, query, headers: { ...headers, host } };
      const signed = await (await signer).sign(
        { ...toSign, ...(port === '' ? {} : { port: Number(port) }) },
        { signingDate: now(), signingRegion: awsRegion, signingService: service },
      );
      return signed.headers;
    },
    learnTime(date) {
      const serverMs = Date.parse(date ?? '');
      if (Number.isNaN(serverMs) || Math.abs(serverMs - now().getTime()) < SKEW_MS) return false;
      aheadMs = serverMs - clock.now().getTime();
      return true;
    },
  };
}
