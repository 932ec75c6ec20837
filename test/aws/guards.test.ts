import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeRegionsCommand } from '@aws-sdk/client-ec2';
import { ListBucketsCommand } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { regionOf } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { createAwsClients } from '../../src/aws/clients.ts';
import { endpointsFrom, isAllowedHost } from '../../src/aws/endpoints.ts';
import { toAwsFault } from '../../src/aws/faults.ts';

const eu = regionOf('eu') as Region;
const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };

describe('residency', () => {
  test.each(['us-east-1', 'eu-west-2', 'eu-central-2', 'ca-central-1', 'nowhere-1'])(
    'no client is made for %s in the EU',
    (awsRegion) => {
      const clients = createAwsClients({ region: eu, credentials, endpoints: {} });
      expect(() => clients.for(awsRegion)).toThrow(expect.objectContaining({ code: 'residency_violation' }));
    },
  );

  test.each([
    ['ec2.eu-central-1.amazonaws.com', true],
    ['bucket.s3.eu-central-1.amazonaws.com', true],
    ['ebs.eu-central-1.api.aws', true],
    ['127.0.0.1', true],
    ['sts.amazonaws.com', false],
    ['s3.amazonaws.com', false],
    ['bucket.s3.amazonaws.com', false],
    ['ec2.us-east-1.amazonaws.com', false],
    ['ec2.eu-west-1.amazonaws.com', false],
    ['ec2.eu-central-1.amazonaws.com.evil.example', false],
    ['evil.example', false],
  ])('a request of eu-central-1 for %s may leave: %s', (host, allowed) => {
    expect(isAllowedHost(eu, 'eu-central-1', host)).toBe(allowed);
  });

  test('an AWS that never answers is given up', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
    const { port } = silent.address() as AddressInfo;
    const endpoints = { ec2: `http://127.0.0.1:${port}` };
    const clients = createAwsClients({ region: eu, credentials, endpoints, requestTimeoutMs: 50 });
    const { ec2 } = clients.for('eu-central-1');
    const error: unknown = await ec2.send(new DescribeRegionsCommand({})).catch((failure: unknown) => failure);
    expect(toAwsFault(error, 'ask', 'eu-central-1')).toMatchObject({ code: 'unavailable', retry: 'now' });
    clients.destroy();
    silent.closeAllConnections();
    await new Promise((done) => silent.close(done));
  });

  test('the guard stops a request whose address is wrong, before anything is sent', async () => {
    // The factory is told of an address that endpointsFrom would have refused: the guard is the second lock.
    const clients = createAwsClients({
      region: eu,
      credentials,
      endpoints: { ec2: 'https://ec2.us-east-1.amazonaws.com', s3: 'https://s3.amazonaws.com' },
    });
    const { ec2, s3 } = clients.for('eu-central-1');
    await expect(ec2.send(new DescribeRegionsCommand({}))).rejects.toMatchObject({ code: 'residency_violation' });
    await expect(s3.send(new ListBucketsCommand({}))).rejects.toMatchObject({ code: 'residency_violation' });
    clients.destroy();
  });

  test('an address of our own must be loopback or listed in the region', () => {
    expect(endpointsFrom({ AWS_ENDPOINT_URL: 'http://127.0.0.1:4566' }, eu)).toMatchObject({
      ec2: 'http://127.0.0.1:4566',
      s3: 'http://127.0.0.1:4566',
    });
    expect(
      endpointsFrom({ AWS_ENDPOINT_URL: 'http://localhost:1', AWS_ENDPOINT_URL_S3: 'http://[::1]:2' }, eu),
    ).toMatchObject({ s3: 'http://[::1]:2' });
    expect(endpointsFrom({}, eu)).toEqual({});
    for (const host of ['https://aws.example', 'https://127.0.0.1.example', 'https://10.0.0.1']) {
      expect(() => endpointsFrom({ AWS_ENDPOINT_URL_KMS: host }, eu)).toThrow(
        expect.objectContaining({ code: 'residency_violation' }),
      );
    }
    const listed = { ...eu, allowedEndpointHosts: ['aws.example'] };
    expect(endpointsFrom({ AWS_ENDPOINT_URL_KMS: 'https://aws.example' }, listed)).toEqual({
      kms: 'https://aws.example',
    });
  });
});

describe("AWS's errors", () => {
  const failure = (name: string, more: object = {}) => Object.assign(new Error('it says why'), { name, ...more });
  test.each([
    ['RequestThrottledException', {}, 'aws_throttled'],
    ['RequestLimitExceeded', {}, 'aws_throttled'],
    ['UnauthorizedOperation', {}, 'missing_permission'],
    ['AccessDeniedException', {}, 'missing_permission'],
    ['AccessDeniedException', { Reason: 'DEPENDENCY_ACCESS_DENIED' }, 'key_access_denied'],
    ['ValidationException', { Reason: 'UNRELATED_SNAPSHOTS' }, 'snapshots_unrelated'],
    ['ExpiredTokenException', {}, 'role_not_assumable'],
    ['InvalidClientTokenId', {}, 'role_not_assumable'],
    ['InvalidInstanceID.NotFound', {}, 'instance_not_found'],
    ['ServiceQuotaExceededException', {}, 'aws_quota_exceeded'],
    ['VcpuLimitExceeded', {}, 'aws_quota_exceeded'],
    ['InsufficientInstanceCapacity', { $metadata: { httpStatusCode: 500 } }, 'aws_quota_exceeded'],
    ['DisabledException', {}, 'key_access_denied'],
    ['InvalidCiphertextException', {}, 'wrong_key'],
    ['InternalServerException', { $metadata: { httpStatusCode: 500 } }, 'unavailable'],
    ['Whatever', { $metadata: { httpStatusCode: 503 } }, 'unavailable'],
    ['Whatever', { $metadata: { httpStatusCode: 400 } }, 'aws_rejected'],
  ])('%s %j is %s', (name, more, code) => {
    expect(toAwsFault(failure(name, more), 'do it', 'eu-central-1').code).toBe(code);
  });

  test('a refusal names the missing permission and what to do', () => {
    const error = Object.assign(
      new Error('User: arn is not authorized to perform: ebs:GetSnapshotBlock on resource: arn:aws:ec2:x because no'),
      { name: 'AccessDeniedException' },
    );
    const fault = toAwsFault(error, 'read block 1', 'eu-central-1');
    expect(fault.facts).toMatchObject({ action: 'ebs:GetSnapshotBlock', awsRegion: 'eu-central-1' });
    expect(fault.message).toContain('ebs:GetSnapshotBlock');
  });
});
