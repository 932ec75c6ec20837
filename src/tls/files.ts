import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Pair } from './certificates.ts';

export type PairFiles = { certFile: string; keyFile: string };

export function readPair({ certFile, keyFile }: PairFiles): Pair {
  return { certPem: readFileSync(certFile, 'utf8'), keyPem: readFileSync(keyFile, 'utf8') };
}

/** Writes a pair so that a reader sees the old or the new one. The key first: a certificate without its key is useless. */
export function writePair({ certFile, keyFile }: PairFiles, pair: Pair): void {
  for (const [file, text, mode] of [
    [keyFile, pair.keyPem, 0o600],
    [certFile, pair.certPem, 0o644],
  ] as const) {
    writeFileSync(`${file}.new`, text, { mode });
    renameSync(`${file}.new`, file);
  }
}
