import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { createPrivateCa, issueLeaf } from '../tls/certificates.ts';
import { factsOf } from '../tls/listener.ts';
import { type PairFiles, readPair, writePair } from '../tls/files.ts';

/** A leaf with less than this left is made anew at the next start. */
const LEFT_MIN_MS = 30 * 86_400_000;

export type TlsFiles = { caCertFile: string; caKeyFile: string; leaf(cell: string): PairFiles };

/** A private authority, made at the first start, and a leaf of it for each cell's listener. */
export async function ensureCertificates(dir: string, cells: readonly string[]): Promise<TlsFiles> {
  const root = join(dir, 'tls');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  // Not ca.pem: that is the Canadian cell's.
  const files: TlsFiles = {
    caCertFile: join(root, 'authority.pem'),
    caKeyFile: join(root, 'authority-key.pem'),
    leaf: (cell) => ({ certFile: join(root, `${cell}.pem`), keyFile: join(root, `${cell}-key.pem`) }),
  };
  const ca = { certFile: files.caCertFile, keyFile: files.caKeyFile };
  const now = systemClock.now();
  if (!existsSync(ca.certFile)) writePair(ca, await createPrivateCa({ commonName: 'Domicile local authority', now }));
  const authority = readPair(ca);
  for (const cell of cells) {
    const leaf = files.leaf(cell);
    const left = existsSync(leaf.certFile) ? Date.parse(factsOf(readPair(leaf).certPem).notAfter) - now.getTime() : 0;
    if (left < LEFT_MIN_MS)
      writePair(leaf, await issueLeaf(authority, { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], now }));
  }
  return files;
}
