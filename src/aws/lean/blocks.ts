import type { EBSClient } from '@aws-sdk/client-ebs';
import type { Budgets } from './budgets.ts';
import { encoded, type Gate, type Service } from './service.ts';

/** A block as AWS sent it: nothing is checked yet. */
export type SentBlock = { bytes: Uint8Array; dataLength: number; checksum: string };

/** The two calls of the EBS direct APIs that are made once for each block. Errors are named as the SDK's. */
export type BlockCalls = {
  /** `into` is memory for the bytes. */
  get(block: { snapshotId: string; index: number; token: string; into?: Uint8Array | undefined }): Promise<SentBlock>;
  put(block: { snapshotId: string; index: number; bytes: Uint8Array; sha256: Uint8Array }): Promise<void>;
};

/** EBS has one size of block, 512 KiB; more than its double is not a block. */
const BODY_BYTES_MAX = 1_048_576;
/** The account's budget where credentials do not say whose they are. */
const OWN_ACCOUNT = 'own';

/**
 * GetSnapshotBlock and PutSnapshotBlock. Source of the wire format: EBS direct APIs reference.
 *
 * @param base the address of EBS in the region
 */
export function openBlockCalls(
  ebs: EBSClient,
  parts: { service: Service; base: () => Promise<URL>; budgets: Budgets; awsRegion: string },
): BlockCalls {
  const { service, base, budgets, awsRegion } = parts;
  const pathOf = (snapshotId: string, index: number) => `/snapshots/${encoded(snapshotId)}/blocks/${index}`;
  async function gateOf(operation: string, snapshotId: string): Promise<Gate> {
    const { accountId } = await ebs.config.credentials();
    return budgets.gate({ account: accountId ?? OWN_ACCOUNT, awsRegion, operation, snapshotId });
  }

  return {
    async get({ snapshotId, index, token, into }) {
      const call = {
        base: await base(),
        method: 'GET' as const,
        path: pathOf(snapshotId, index),
        query: { blockToken: token },
        headers: {},
        body: null,
        bodyBytesMax: BODY_BYTES_MAX,
        into,
      };
      const { headers, body } = await service.call(call, await gateOf('GetSnapshotBlock', snapshotId));
      return {
        bytes: body,
        dataLength: Number(headers['x-amz-data-length']),
        checksum: headers['x-amz-checksum'] ?? '',
      };
    },
    async put({ snapshotId, index, bytes, sha256 }) {
      const digest = Buffer.from(sha256.buffer, sha256.byteOffset, sha256.length);
      const call = {
        base: await base(),
        method: 'PUT' as const,
        path: pathOf(snapshotId, index),
        query: {},
        headers: {
          'content-type': 'application/octet-stream',
          // The digest is there already: the signature covers the bytes at no cost.
          'x-amz-content-sha256': digest.toString('hex'),
          'x-amz-checksum': digest.toString('base64'),
          'x-amz-checksum-algorithm': 'SHA256',
          'x-amz-data-length': String(bytes.length),
        },
        body: bytes,
        bodyBytesMax: BODY_BYTES_MAX,
      };
      await service.call(call, await gateOf('PutSnapshotBlock', snapshotId));
    },
  };
}
