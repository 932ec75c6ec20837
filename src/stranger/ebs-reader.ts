import { createHash } from 'node:crypto';
import { EBSClient, GetSnapshotBlockCommand, ListSnapshotBlocksCommand } from '@aws-sdk/client-ebs';
import { CreateSnapshotCommand, DeleteSnapshotCommand, DescribeSnapshotsCommand, EC2Client } from '@aws-sdk/client-ec2';
import type { Credentials } from './sandbox-control.ts';

const WINDOW = 16;
const POLL_MS = 200;
const COMPLETE_TIMEOUT_MS = 120_000;

export type AwsAccess = { endpoint: string; awsRegion: string; credentials: Credentials };

function clients({ endpoint, awsRegion, credentials }: AwsAccess) {
  const config = { endpoint, region: awsRegion, credentials };
  return { ebs: new EBSClient(config), ec2: new EC2Client(config) };
}

type Listed = { index: number; token: string };

async function* listBlocks(
  ebs: EBSClient,
  snapshotId: string,
  told: { volumeGiB: number; blockBytes: number },
): AsyncGenerator<Listed> {
  let NextToken: string | undefined;
  do {
    const page = await ebs.send(
      new ListSnapshotBlocksCommand({ SnapshotId: snapshotId, MaxResults: 10_000, NextToken }),
    );
    told.volumeGiB = page.VolumeSize ?? told.volumeGiB;
    told.blockBytes = page.BlockSize ?? told.blockBytes;
    for (const block of page.Blocks ?? []) yield { index: block.BlockIndex ?? 0, token: block.BlockToken ?? '' };
    NextToken = page.NextToken;
  } while (NextToken);
}

async function readBlock(ebs: EBSClient, snapshotId: string, block: Listed) {
  const answer = await ebs.send(
    new GetSnapshotBlockCommand({ SnapshotId: snapshotId, BlockIndex: block.index, BlockToken: block.token }),
  );
  return { index: block.index, bytes: (await answer.BlockData?.transformToByteArray()) ?? new Uint8Array() };
}

/**
 * SHA-256 over a whole raw volume as a snapshot holds it, with zeros where no block was ever written: what `sha256sum`
 * would say of the disk. Reads through the EBS direct API with the account's own credentials.
 */
export async function hashSnapshot(access: AwsAccess, snapshotId: string): Promise<{ sha256: string; bytes: number }> {
  const { ebs } = clients(access);
  const hash = createHash('sha256');
  const told = { volumeGiB: 0, blockBytes: 524_288 };
  const zeros = Buffer.alloc(told.blockBytes);
  let next = 0;
  const fillTo = (index: number) => {
    for (; next < index; next += 1) hash.update(zeros);
  };
  const take = ({ index, bytes }: { index: number; bytes: Uint8Array }) => {
    fillTo(index);
    hash.update(bytes);
    next += 1;
  };
  const window: ReturnType<typeof readBlock>[] = [];
  for await (const block of listBlocks(ebs, snapshotId, told)) {
    const reading = readBlock(ebs, snapshotId, block);
    reading.catch(() => {}); // it is awaited in its turn; until then nobody else may call it unhandled
    window.push(reading);
    const oldest = window.length >= WINDOW ? window.shift() : undefined;
    if (oldest) take(await oldest);
  }
  for (const pending of window) take(await pending);
  const bytes = told.volumeGiB * 2 ** 30;
  fillTo(bytes / told.blockBytes);
  ebs.destroy();
  return { sha256: hash.digest('hex'), bytes };
}

/** Hashes a volume by way of a snapshot of its own, which is deleted afterwards. */
export async function hashVolume(access: AwsAccess, volumeId: string): Promise<{ sha256: string; bytes: number }> {
  const { ec2 } = clients(access);
  const { SnapshotId: snapshotId = '' } = await ec2.send(
    new CreateSnapshotCommand({ VolumeId: volumeId, Description: 'comparison' }),
  );
  try {
    await untilCompleted(ec2, snapshotId);
    return await hashSnapshot(access, snapshotId);
  } finally {
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
    ec2.destroy();
  }
}

async function untilCompleted(ec2: EC2Client, snapshotId: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < COMPLETE_TIMEOUT_MS; waitedMs += POLL_MS) {
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }));
    const state = Snapshots?.[0]?.State;
    if (state === 'completed') return;
    if (state === 'error')
      throw new Error(`snapshot ${snapshotId} failed: ${Snapshots?.[0]?.StateMessage ?? 'no reason given'}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`snapshot ${snapshotId} did not complete in ${COMPLETE_TIMEOUT_MS} ms`);
}
