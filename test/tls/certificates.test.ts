import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { isFault } from '../../src/core/faults.ts';
import { createPrivateCa, issueLeaf, LEAF_DAYS, type Pair } from '../../src/tls/certificates.ts';
import { readPair, writePair } from '../../src/tls/files.ts';
import { checkPair, createListenerTls, factsOf } from '../../src/tls/listener.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const DAY_MS = 86_400_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const NAMES = { dnsNames: ['eu.domicile.example', 'localhost'], ipAddresses: ['127.0.0.1'] };

let ca: Pair;
let leaf: Pair;
beforeAll(async () => {
  ca = await createPrivateCa({ commonName: 'Domicile test authority', now: NOW });
  leaf = await issueLeaf(ca, { ...NAMES, now: NOW });
});

const later = (days: number) => new Date(NOW.getTime() + days * DAY_MS);

test('the authority signs itself, is an authority and nothing else, for ten years', () => {
  const cert = new X509Certificate(ca.certPem);
  expect(cert.ca).toBe(true);
  expect(cert.verify(cert.publicKey)).toBe(true);
  expect(cert.subject).toBe('CN=Domicile test authority');
  expect(cert.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime256v1' });
  expect(cert.keyUsage).toBeUndefined(); // no extended purposes
  expect(cert.validToDate).toEqual(later(3_650));
  expect(cert.checkPrivateKey(createPrivateKey(ca.keyPem))).toBe(true);
});

test('a leaf is RSA-2048, signed by the authority, no authority itself, and only for servers', () => {
  const cert = new X509Certificate(leaf.certPem);
  const authority = new X509Certificate(ca.certPem);
  expect(cert.publicKey.asymmetricKeyType).toBe('rsa');
  expect(cert.publicKey.asymmetricKeyDetails).toMatchObject({ modulusLength: 2048, publicExponent: 65537n });
  expect(cert.checkIssued(authority)).toBe(true);
  expect(cert.verify(authority.publicKey)).toBe(true);
  expect(cert.ca).toBe(false);
  expect(cert.keyUsage).toEqual([SERVER_AUTH]);
});

test('a leaf carries the names it was asked for, and no other', () => {
  const cert = new X509Certificate(leaf.certPem);
  expect(cert.subjectAltName).toBe('DNS:eu.domicile.example, DNS:localhost, IP Address:127.0.0.1');
  expect(cert.checkHost('eu.domicile.example')).toBe('eu.domicile.example');
  expect(cert.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(cert.checkHost('us.domicile.example')).toBeUndefined();
  expect(cert.checkHost('sub.eu.domicile.example')).toBeUndefined();
  expect(cert.checkIP('127.0.0.2')).toBeUndefined();
});

test('a leaf is valid from just before it is made, for at least a year, and never past a year and a month', () => {
  const cert = new X509Certificate(leaf.certPem);
  expect(NOW.getTime() - cert.validFromDate.getTime()).toBe(5 * 60_000);
  expect(cert.validToDate).toEqual(later(LEAF_DAYS));
  expect(LEAF_DAYS).toBeGreaterThanOrEqual(366);
  expect(LEAF_DAYS).toBeLessThanOrEqual(397);
});

test('no two leaves share a serial number or a key', async () => {
  const second = await issueLeaf(ca, { ...NAMES, now: NOW });
  expect(factsOf(second.certPem).serialNumber).not.toBe(factsOf(leaf.certPem).serialNumber);
  expect(second.keyPem).not.toBe(leaf.keyPem);
});

test('an operator is shown what openssl would show', () => {
  const cert = new X509Certificate(leaf.certPem);
  expect(factsOf(leaf.certPem)).toEqual({
    subject: 'CN=eu.domicile.example',
    serialNumber: cert.serialNumber.toLowerCase(),
    sha256: cert.fingerprint256.replaceAll(':', '').toLowerCase(),
    notBefore: '2026-11-23T11:55:00.000Z',
    notAfter: later(LEAF_DAYS).toISOString(),
  });
});

function refusal(pair: Pair, now = NOW, caPem: string | null = ca.certPem): string {
  try {
    checkPair(pair, { caPem, now });
    return 'taken';
  } catch (error) {
    if (!isFault(error, 'invalid_request')) throw error;
    return error.message;
  }
}

test('a pair that fits is taken on every day of its life', () => {
  expect([NOW, later(1), later(LEAF_DAYS - 1)].map((now) => refusal(leaf, now))).toEqual(['taken', 'taken', 'taken']);
  expect(refusal(leaf, NOW, null)).toBe('taken');
});

test('a certificate with the key of another is refused', async () => {
  const other = await issueLeaf(ca, { ...NAMES, now: NOW });
  expect(refusal({ ...leaf, keyPem: other.keyPem })).toContain('key does not belong');
});

test('a certificate of another authority is refused, even of one with the same name', async () => {
  const foreign = await createPrivateCa({ commonName: 'Domicile test authority', now: NOW });
  expect(refusal(await issueLeaf(foreign, { ...NAMES, now: NOW }))).toContain('authority did not sign');
});

test('a certificate that has expired or is not valid yet is refused', () => {
  expect(refusal(leaf, later(LEAF_DAYS))).toContain('expired');
  expect(refusal(leaf, later(LEAF_DAYS + 1))).toContain('expired');
  expect(refusal(leaf, later(-1))).toContain('not valid yet');
});

test('the authority itself is no listener certificate', () => {
  expect(refusal(ca)).toContain('not for servers');
});

test.each(['', 'no PEM', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])(
  'text that is no certificate (%j) is refused, and so is a key of that kind',
  (text) => {
    expect(refusal({ ...leaf, certPem: text })).toContain('cannot be read');
    expect(refusal({ ...leaf, keyPem: text })).toContain('cannot be read');
  },
);

test('a refused pair leaves what a listener serves as it was', async () => {
  const tls = createListenerTls(leaf, { caPem: ca.certPem });
  const before = tls.current();
  expect(() => tls.swap(leaf, later(LEAF_DAYS))).toThrow('expired');
  expect(tls.current()).toEqual(before);
  expect(tls.serverOptions()).toMatchObject({ cert: leaf.certPem, minVersion: 'TLSv1.2' });
});

test('a pair on disk reads back as written, its key readable by the owner alone, and no half file stays', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tls-files-'));
  try {
    const files = { certFile: join(dir, 'eu.pem'), keyFile: join(dir, 'eu-key.pem') };
    writePair(files, ca);
    writePair(files, leaf);
    expect(readPair(files)).toEqual(leaf);
    expect(statSync(files.keyFile).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir).toSorted()).toEqual(['eu-key.pem', 'eu.pem']);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
