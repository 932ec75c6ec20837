import { CompleteSnapshotCommand, type EBSClient, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { Clock } from '../core/clock.ts';
import { Fault, isFault } from '../core/faults.ts';
import type { BlockSink } from '../vault/ports.ts';
import { asking, awsErrorName, toAwsFault } from './faults.ts';
import { openBlockWriter } from './block-writer.ts';
import type { BlockCalls } from './lean/blocks.ts';
import { findSnapshot, ourTags, type OurTags, untilCompleted } from './snapshots.ts';

/** The longest idle time that AWS offers: a restore that pauses for a night still goes on. */
const TIMEOUT_MINUTES = 4_320;
const SEALED_LOOKS = 3;
const SEALED_WAIT_MS = 500;
const CONCURRENT_ATTEMPTS = 20;
const CONCURRENT_WAIT_MS = 5_000;

export type NewSnapshot = OurTags & {
  volumeGiB: number;
  encrypted: boolean;
  kmsKeyArn: string | null;
  description: string;
  clientToken: string;
};

/**
 * Starts a snapshot that is written block by block. The client token makes a second try continue with the same one; then
 * blocks that were put already are put again, which changes nothing.
 */
export async function startSnapshot(
  ebs: EBSClient,
  awsRegion: string,
  wanted: NewSnapshot & { clock: Clock; signal: AbortSignal },
): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { SnapshotId } = await ebs.send(
        new StartSnapshotCommand({
          VolumeSize: wanted.volumeGiB,
          Description: wanted.description,
          ClientToken: wanted.clientToken,
          Timeout: TIMEOUT_MINUTES,
          Tags: ourTags(wanted),
          ...(wanted.encrypted ? { Encrypted: true } : {}),
          ...(wanted.encrypted && wanted.kmsKeyArn !== null ? { KmsKeyArn: wanted.kmsKeyArn } : {}),
        }),
      );
      return SnapshotId ?? '';
    } catch (error) {
      // The SDK does not know that this one is worth waiting for: at most 100 snapshots may be pending in an account.
      if (awsErrorName(error) !== 'ConcurrentLimitExceededException' || attempt === CONCURRENT_ATTEMPTS)
        throw toAwsFault(error, 'start a snapshot', awsRegion);
      await wanted.clock.sleep(CONCURRENT_WAIT_MS, wanted.signal);
      wanted.signal.throwIfAborted();
    }
  }
}

/** Has AWS sealed this snapshot already? It does so a moment after it was asked to. */
async function isComplete(
  ec2: EC2Client,
  {
    awsRegion,
    snapshotId,
    clock,
    signal,
  }: { awsRegion: string; snapshotId: string; clock: Clock; signal: AbortSignal },
): Promise<boolean> {
  for (let look = 1; look <= SEALED_LOOKS; look += 1) {
    if ((await findSnapshot(ec2, awsRegion, snapshotId))?.state === 'completed') return true;
    await clock.sleep(SEALED_WAIT_MS, signal);
  }
  return false;
}

/** A started snapshot as the engine writes it. */
export function openSnapshotSink(
  clients: { ebs: EBSClient; ec2: EC2Client; lean: { blocks: BlockCalls } },
  options: { awsRegion: string; snapshotId: string; blockBytes: number; clock: Clock; signal: AbortSignal },
): BlockSink {
  const { awsRegion, snapshotId, clock, signal } = options;
  return {
    blockBytes: options.blockBytes,
    ...openBlockWriter(clients, options),
    async complete(count, linearSha256) {
      const fault = await asking(`complete ${snapshotId}`, awsRegion, () =>
        clients.ebs.send(
          new CompleteSnapshotCommand({
            SnapshotId: snapshotId,
            ChangedBlocksCount: count,
            Checksum: Buffer.from(linearSha256).toString('base64'),
            ChecksumAlgorithm: 'SHA256',
            ChecksumAggregationMethod: 'LINEAR',
          }),
        ),
      ).then(
        () => null,
        (error: unknown) => error,
      );
      // An earlier call may have done it, and only its answer was lost.
      if (isFault(fault, 'aws_rejected') && !(await isComplete(clients.ec2, options))) {
        throw new Fault(
          'restore_checksum_mismatch',
          `AWS did not accept the restored snapshot ${snapshotId}: ${fault.message}`,
          { cause: fault },
        );
      }
      if (fault !== null && !isFault(fault, 'aws_rejected')) throw fault;
      await untilCompleted(clients.ec2, awsRegion, { snapshotIds: [snapshotId], clock, signal });
    },
  };
}
