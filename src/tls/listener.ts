import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Server as HttpsServer, ServerOptions } from 'node:https';
import { Fault } from '../core/faults.ts';
import type { Pair } from './certificates.ts';

/** TLS 1.2 with AES-256 and forward secrecy, or TLS 1.3. */
const OPTIONS = {
  minVersion: 'TLSv1.2',
  ciphers: 'TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384',
  honorCipherOrder: true,
} as const satisfies ServerOptions;

/** Extended key usage: server authentication (RFC 5280 §4.2.1.12). */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** What an operator is shown of a certificate. */
export type CertificateFacts = {
  subject: string;
  serialNumber: string;
  sha256: string;
  notBefore: string;
  notAfter: string;
};

export function factsOf(certPem: string): CertificateFacts {
  const cert = new X509Certificate(certPem);
  return {
    subject: cert.subject,
    serialNumber: cert.serialNumber.toLowerCase(),
    sha256: cert.fingerprint256.replaceAll(':', '').toLowerCase(),
    notBefore: cert.validFromDate.toISOString(),
    notAfter: cert.validToDate.toISOString(),
  };
}

/**
 * Is this a pair that a listener may take? Key and certificate belong together, the authority signed it for a server,
 * and it is valid now. Checked before a swap, so that a bad pair never replaces a good one.
 *
 * @throws Fault `invalid_request` saying what is wrong
 */
export function checkPair(pair: Pair, options: { caPem: string | null; now: Date }): void {
  const refuse = (why: string) => new Fault('invalid_request', `The new certificate was not taken: ${why}.`);
  const read = <T>(what: string, parse: () => T): T => {
    try {
      return parse();
    } catch {
      throw refuse(`its ${what} cannot be read`);
    }
  };
  const cert = read('certificate', () => new X509Certificate(pair.certPem));
  const key = read('key', () => createPrivateKey(pair.keyPem));
  if (!cert.checkPrivateKey(key)) throw refuse('the key does not belong to it');
  if (options.caPem !== null && !cert.verify(new X509Certificate(options.caPem).publicKey))
    throw refuse('the authority did not sign it');
  if (cert.ca || !cert.keyUsage?.includes(SERVER_AUTH)) throw refuse('it is not for servers');
  if (cert.validFromDate > options.now) throw refuse('it is not valid yet');
  if (cert.validToDate <= options.now) throw refuse('it has expired');
}

/** The TLS side of a listener: options to start with, and a swap that drops no connection. */
export function createListenerTls(first: Pair, options: { caPem: string | null }) {
  let current = first;
  let server: Pick<HttpsServer, 'setSecureContext'> | null = null;
  const secure = (pair: Pair) => ({ ...OPTIONS, cert: pair.certPem, key: pair.keyPem });
  return {
    serverOptions: (): ServerOptions => secure(current),
    attach(listening: Pick<HttpsServer, 'setSecureContext'>): void {
      server = listening;
    },
    current: (): CertificateFacts => factsOf(current.certPem),
    /**
     * Takes a new pair: new handshakes get it at once, open connections live on. All options are passed again, because
     * `setSecureContext` forgets those that are not.
     */
    swap(pair: Pair, now: Date): CertificateFacts {
      checkPair(pair, { caPem: options.caPem, now });
      server?.setSecureContext(secure(pair));
      current = pair;
      return factsOf(pair.certPem);
    },
  };
}

export type ListenerTls = ReturnType<typeof createListenerTls>;
