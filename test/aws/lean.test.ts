import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { crc32 } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { regionOf } from '../../regions/index.ts';
import type { Region } from '../../regions/types.ts';
import { createAwsClients } from '../../src/aws/clients.ts';
import { reasonOf, toAwsFault } from '../../src/aws/faults.ts';
import { createBudgets } from '../../src/aws/lean/budgets.ts';
import { createLeanClient } from '../../src/aws/lean/client.ts';
import type { WireRequest } from '../../src/aws/lean/wire.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createPrivateCa, issueLeaf } from '../../src/tls/certificates.ts';

const eu = regionOf('eu') as Region;
const awsRegion = 'eu-central-1';
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'x' };
const block = { snapshotId: 'snap-1', index: 7, token: 'a+b/c=' };
const place = { bucket: 'vault-eu', expectedBucketOwner: '111111111111', key: 't/ten 1/a*b' };
const bytes = Buffer.from('what is stored');
const sha256 = createHash('sha256').update(bytes).digest();

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
/** A server that gives the answers in turn, the last one for ever; and a lean client that knows only it. */
async function answering(...answers: Answer[]) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    request.resume().on('end', () => answers[Math.min(asked.length, answers.length) - 1]?.(request, response));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const aws = createAwsClients({ region: eu, credentials, endpoints: { ebs: url, s3: url }, requestTimeoutMs: 200 });
  closing.push(async () => {
    aws.destroy();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  return { asked, ...aws.for(awsRegion).lean };
}

const good: Answer = (_, response) =>
  response
    .writeHead(200, {
      'content-length': bytes.length,
      'x-amz-data-length': bytes.length,
      'x-amz-checksum': sha256.toString('base64'),
    })
    .end(bytes);
const refusing =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(status, headers).end(body);
const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => null,
    (error: unknown) => error,
  );

describe('a call', () => {
  test.each<[string, Answer]>([
    ['is throttled', refusing(400, '{"__type":"com.amazon#RequestThrottledException","Reason":"ACCOUNT_THROTTLED"}')],
    ['meets a failing AWS', refusing(503, '')],
    ['is reset', (request) => request.socket.destroy()],
    [
      'gets half of the body',
      (request, response) =>
        response.writeHead(200, { 'content-length': 100 }).write('half', () => request.socket.destroy()),
    ],
    ['gets no answer in time', () => {}],
  ])('that %s is made again', async (_, trouble) => {
    const { asked, blocks } = await answering(trouble, good);
    expect(await blocks.get(block)).toEqual({
      bytes: new Uint8Array(bytes),
      dataLength: bytes.length,
      checksum: sha256.toString('base64'),
    });
    expect(asked).toHaveLength(2);
  });

  test('that AWS never answers is given up', async () => {
    const { asked, objects } = await answering(() => {});
    const error = await failureOf(objects.get(place));
    expect(toAwsFault(error, 'ask', awsRegion)).toMatchObject({ code: 'unavailable', retry: 'now' });
    expect(asked).toHaveLength(5);
  });

  test('that is refused is not made again, and its reason is told', async () => {
    const body = '{"Message":"no \\"such\\" token","Reason":"INVALID_BLOCK_TOKEN"}';
    const headers = { 'x-amzn-errortype': 'ValidationException:http://x/', 'x-amzn-requestid': 'r-1' };
    const { asked, blocks } = await answering(refusing(400, body, headers));
    const error = await failureOf(blocks.get(block));
    expect(error).toMatchObject({ name: 'ValidationException', message: 'no "such" token' });
    expect(reasonOf(error)).toBe('INVALID_BLOCK_TOKEN');
    expect(toAwsFault(error, 'ask', awsRegion).facts).toMatchObject({ awsRequestId: 'r-1' });
    expect(asked).toHaveLength(1);
  });

  test("that S3 refuses has the code and the sentence of S3's XML", async () => {
    const xml = '<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt;key&gt;</Message></Error>';
    const { objects } = await answering(refusing(404, xml));
    const error = await failureOf(objects.get(place));
    expect(error).toMatchObject({ name: 'NoSuchKey', message: 'a <key>' });
    expect(toAwsFault(error, 'ask', awsRegion).code).toBe('object_missing');
  });

  test('whose answer is longer than it may be is broken off', async () => {
    const { asked, objects } = await answering(good);
    expect(await failureOf(objects.get(place, { start: 0, length: 3 }))).toMatchObject({ name: 'BodyTooLong' });
    expect(asked).toHaveLength(1);
  });

  test('that is refused for our clock is signed with the time of AWS', async () => {
    const date = new Date(systemClock.now().getTime() + 3_600_000).toUTCString();
    const { asked, blocks } = await answering(
      refusing(403, '{"__type":"InvalidSignatureException"}', { date }),
      (request, response) => {
        response.setHeader('date', date);
        good(request, response);
      },
    );
    await blocks.get(block);
    const signedAt = asked.map(({ headers }) => String(headers['x-amz-date']).slice(0, 11));
    expect(signedAt[1]).not.toBe(signedAt[0]);
    expect(signedAt[1]).toBe(new Date(date).toISOString().replaceAll(/[-:]/g, '').slice(0, 11));
  });
});

describe('over TLS', () => {
  const now = systemClock.now();
  async function served(names: { dnsNames: string[]; ipAddresses: string[] }) {
    const ca = await createPrivateCa({ commonName: 'test', now });
    const { certPem, keyPem } = await issueLeaf(ca, { ...names, now });
    let asked = 0;
    const server = createTlsServer({ cert: certPem, key: keyPem }, (request, response) => {
      asked += 1;
      good(request, response);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const endpoints = { ebs: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
    const aws = createAwsClients({ region: eu, credentials, endpoints });
    const usual = getCACertificates('default');
    closing.push(async () => {
      setDefaultCACertificates(usual);
      aws.destroy();
      await new Promise((done) => server.close(done));
    });
    return { ca, blocks: aws.for(awsRegion).lean.blocks, asked: () => asked };
  }

  test('a block comes from a server that a known authority vouches for', async () => {
    const { ca, blocks, asked } = await served({ dnsNames: [], ipAddresses: ['127.0.0.1'] });
    setDefaultCACertificates([ca.certPem]);
    for (const index of [1, 2, 3]) expect((await blocks.get({ ...block, index })).bytes).toHaveLength(bytes.length);
    expect(asked()).toBe(3);
  });

  test('nothing is sent to a server that nobody vouches for', async () => {
    const { blocks, asked } = await served({ dnsNames: [], ipAddresses: ['127.0.0.1'] });
    await expect(blocks.get(block)).rejects.toMatchObject({ name: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    expect(asked()).toBe(0);
  });

  test("nothing is sent to a server with another's name", async () => {
    const { ca, blocks, asked } = await served({ dnsNames: ['other.example'], ipAddresses: ['127.0.0.9'] });
    setDefaultCACertificates([ca.certPem]);
    await expect(blocks.get(block)).rejects.toMatchObject({ name: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(asked()).toBe(0);
  });
});

test('jobs of one process share what may be under way in an account', async () => {
  let [running, most] = [0, 0];
  const server = createServer((request, response) => {
    most = Math.max(most, (running += 1));
    setTimeout(() => ((running -= 1), good(request, response)), 5);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const endpoints = { ebs: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  const budgets = createBudgets(systemClock, { floor: 3, start: 3, ceiling: 3, targetPerSec: 100_000 });
  const jobs = ['a', 'b', 'c'].map(() => createAwsClients({ region: eu, credentials, endpoints, budgets }));
  const reads = jobs.flatMap((job, snapshot) =>
    Array.from({ length: 10 }, (_, index) =>
      job.for(awsRegion).lean.blocks.get({ ...block, snapshotId: `snap-${snapshot}`, index }),
    ),
  );
  expect(await Promise.all(reads)).toHaveLength(30);
  expect(most).toBe(3);
  for (const job of jobs) job.destroy();
  await new Promise((done) => server.close(done));
});

test('no byte leaves for a host outside the region', async () => {
  // The factory is told of addresses that endpointsFrom would have refused: the guard is the second lock.
  const endpoints = { ebs: 'https://ebs.us-east-1.amazonaws.com', s3: 'https://s3.amazonaws.com' };
  const aws = createAwsClients({ region: eu, credentials, endpoints });
  const { blocks, objects } = aws.for(awsRegion).lean;
  for (const call of [blocks.get(block), blocks.put({ ...block, bytes, sha256 }), objects.get(place)])
    await expect(call).rejects.toMatchObject({ code: 'residency_violation' });
  aws.destroy();
});

describe("a request for AWS's own addresses", () => {
  async function sent(work: (lean: ReturnType<typeof createLeanClient>) => Promise<unknown>): Promise<WireRequest> {
    const requests: WireRequest[] = [];
    const aws = createAwsClients({ region: eu, credentials, endpoints: {} });
    const lean = createLeanClient(aws.for(awsRegion), {
      awsRegion,
      endpoints: {},
      guard: () => {},
      clock: systemClock,
      budgets: createBudgets(systemClock),
      wire: {
        exchange: async (request) => (requests.push(request), { status: 200, headers: {}, body: new Uint8Array() }),
        destroy: () => {},
      },
    });
    await work(lean);
    aws.destroy();
    const [request] = requests;
    if (!request) throw new Error('Nothing was sent.');
    return request;
  }

  test('for a block names it in the path, and its token in the query', async () => {
    const { origin, path } = await sent(({ blocks }) => blocks.get(block));
    expect(`${origin}${path}`).toBe(
      'https://ebs.eu-central-1.amazonaws.com/snapshots/snap-1/blocks/7?blockToken=a%2Bb%2Fc%3D',
    );
  });

  test('to store an object goes to the host of the bucket, with a checksum that S3 verifies', async () => {
    const { origin, path, headers } = await sent(({ objects }) => objects.putNew(place, bytes));
    expect(`${origin}${path}`).toBe('https://vault-eu.s3.eu-central-1.amazonaws.com/t/ten%201/a%2Ab');
    const checksum = Buffer.from(crc32(bytes).toString(16).padStart(8, '0'), 'hex').toString('base64');
    expect(headers).toMatchObject({
      host: 'vault-eu.s3.eu-central-1.amazonaws.com',
      'if-none-match': '*',
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      'x-amz-checksum-crc32': checksum,
      'x-amz-expected-bucket-owner': '111111111111',
    });
    expect(headers['authorization']).toContain('x-amz-checksum-crc32;x-amz-content-sha256');
  });

  test('to write a block signs the hash of its bytes', async () => {
    const { headers } = await sent(({ blocks }) => blocks.put({ ...block, bytes, sha256 }));
    expect(headers['x-amz-content-sha256']).toBe(sha256.toString('hex'));
    expect(headers['x-amz-checksum']).toBe(sha256.toString('base64'));
  });
});
