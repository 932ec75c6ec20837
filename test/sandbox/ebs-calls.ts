import {
  type EBSClient,
  GetSnapshotBlockCommand,
  ListChangedBlocksCommand,
  ListSnapshotBlocksCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { expect } from 'vitest';
import { type Aws, BLOCK_BYTES, blockOf, listAll, newVolume, sha256 } from './world.ts';

/** One page of a listing. */
export const list = (ebs: EBSClient, SnapshotId: string, more = {}) =>
  ebs.send(new ListSnapshotBlocksCommand({ SnapshotId, ...more }));
export const changed = (ebs: EBSClient, FirstSnapshotId: string, SecondSnapshotId: string, more = {}) =>
  ebs.send(new ListChangedBlocksCommand({ FirstSnapshotId, SecondSnapshotId, ...more }));
export const get = (ebs: EBSClient, SnapshotId: string, BlockIndex: number, BlockToken?: string) =>
  ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
export const start = async (ebs: EBSClient, more: Partial<StartSnapshotCommand['input']> = {}): Promise<string> =>
  (await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...more }))).SnapshotId ?? '';

export async function readAll(ebs: EBSClient, SnapshotId: string): Promise<Map<number, Buffer>> {
  const { blocks } = await listAll(ebs, SnapshotId);
  const contents = new Map<number, Buffer>();
  for (const { BlockIndex = -1, BlockToken } of blocks) {
    const answer = await get(ebs, SnapshotId, BlockIndex, BlockToken);
    const bytes = Buffer.from((await answer.BlockData?.transformToByteArray()) ?? []);
    expect(answer).toMatchObject({ DataLength: BLOCK_BYTES, Checksum: sha256(bytes), ChecksumAlgorithm: 'SHA256' });
    contents.set(BlockIndex, bytes);
  }
  return contents;
}

/** A snapshot whose blocks 0 to count − 1 are written. All but the first have equal contents. */
export async function written(aws: Aws, count: number) {
  const VolumeId = await newVolume(aws.ec2);
  await aws.write(VolumeId, 0, Buffer.concat([blockOf('first'), ...Array<Buffer>(count - 1).fill(blockOf('rest'))]));
  return { VolumeId, SnapshotId: await aws.snapshot(VolumeId) };
}

export const stateOf = async ({ ec2 }: Aws, SnapshotId: string) =>
  (await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }))).Snapshots?.[0]?.State;
