import { expect, test } from 'vitest';
import { findings } from '../../src/local/demo.ts';
import { callsOutside } from '../../src/local/jurisdiction-check.ts';

const call = (callerArn: string, awsRegion: string) => ({
  callerArn,
  accountId: '111111111111',
  service: 'ec2',
  awsRegion,
  operation: 'DescribeInstances',
  status: 200,
  count: 3,
});
const connector = 'arn:aws:sts::111111111111:assumed-role/domicile-cell-eu-connector/*';
const customerRole = 'arn:aws:sts::222222222222:assumed-role/domicile-abc/*';

test("a call of a cell's own principal outside its jurisdiction is found", () => {
  expect(callsOutside([call(connector, 'eu-central-1')], new Map())).toEqual([]);
  expect(callsOutside([call(connector, 'us-east-1')], new Map())).toHaveLength(1);
  expect(callsOutside([call(connector, 'eu-west-2')], new Map())).toHaveLength(1); // London is not the EU
});

test("a call through a customer's role is its cell's", () => {
  const roles = new Map([['domicile-abc', 'ca']]);
  expect(callsOutside([call(customerRole, 'ca-central-1')], roles)).toEqual([]);
  expect(callsOutside([call(customerRole, 'eu-central-1')], roles)).toHaveLength(1);
});

test("the customer's own calls are nobody's business", () => {
  expect(callsOutside([call('arn:aws:iam::222222222222:root', 'us-east-1')], new Map())).toEqual([]);
});

const volume = (restoredSha256: string) => ({
  volumeId: 'vol-1',
  bytes: 1,
  blocksRead: 1,
  blocksStored: 1,
  sourceSha256: 'aa',
  restoredSha256,
});
const point = (kind: 'full' | 'incremental', restored = 'aa') => ({
  recoveryPointId: `rp-${kind}`,
  kind,
  volumes: [volume(restored)],
});

test('a demo without a full and an incremental point, or with one wrong hash, is not ok', () => {
  expect(findings({ cell: 'eu', seconds: 1, points: [point('full'), point('incremental')] })).toEqual([]);
  expect(findings({ cell: 'eu', seconds: 1, points: [point('full'), point('full')] })).toHaveLength(1);
  expect(findings({ cell: 'eu', seconds: 1, points: [point('full'), point('incremental', 'ab')] })).toHaveLength(1);
  expect(findings({ cell: 'eu', seconds: 1, points: [point('full'), point('incremental', '')] })).toHaveLength(1);
});
