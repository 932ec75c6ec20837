import { beforeAll, describe, expect, test } from 'vitest';
import {
  CLIENT_ADDRESS_HEADER,
  createNonceCache,
  SIGNATURE_SECONDS,
  type SigningKey,
  signEd25519,
  signRequest,
  type VerifyingKey,
  verifyEd25519,
  verifyRequest,
} from '../../src/core/http-signature.ts';

const NOW = new Date('2026-11-23T12:00:00Z');
const URL_AT_CELL = 'https://eu.cell.test:8443/v1/connections?limit=1&cursor=%2F';

type Keys = { signing: SigningKey; verifying: VerifyingKey };
async function newKeys(keyId: string): Promise<Keys> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const privateKey = await crypto.subtle.exportKey('jwk', pair.privateKey);
  const publicKey = await crypto.subtle.exportKey('jwk', pair.publicKey);
  return { signing: { keyId, privateKey }, verifying: { keyId, publicKey } };
}

let router: Keys;
let impostor: Keys;
beforeAll(async () => {
  router = await newKeys('router-1');
  impostor = await newKeys('router-1');
});

type Message = { method: string; url: string; headers: Headers };
const plain = (): Message => ({
  method: 'POST',
  url: URL_AT_CELL,
  headers: new Headers({ authorization: 'Bearer dk_eu_a', [CLIENT_ADDRESS_HEADER]: '192.0.2.7', accept: '*/*' }),
});

async function signed(message = plain(), key = router.signing): Promise<Message> {
  for (const [name, value] of Object.entries(await signRequest(message, key, NOW))) message.headers.set(name, value);
  return message;
}

function at(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1000);
}

function verify(message: Message, now = NOW, firstUse = createNonceCache(() => now)) {
  const authorities = ['eu.cell.test:8443', '127.0.0.1:9000'];
  return verifyRequest(message, { keys: [router.verifying], authorities, now, firstUse });
}

/** Signs a base of the test's own making, as someone with the router's key but other ideas would. */
async function signedAs(parameters: string, label = 'router', signLabel = label): Promise<Message> {
  const message = plain();
  const names = [...(/^\(([^)]*)\)/.exec(parameters)?.[1] ?? '').matchAll(/"([^"]+)"/g)].map(([, name]) => name ?? '');
  const values: Record<string, string | null> = {
    '@method': message.method,
    '@authority': new URL(message.url).host,
    '@target-uri': message.url,
  };
  const lines = names.map((name) => `"${name}": ${values[name] ?? message.headers.get(name)}`);
  const base = [...lines, `"@signature-params": ${parameters}`].join('\n');
  const signature = Buffer.from(await signEd25519(router.signing.privateKey, base)).toString('base64');
  message.headers.set('signature-input', `${label}=${parameters}`);
  message.headers.set('signature', `${signLabel}=:${signature}:`);
  return message;
}

const COVERED = `("@method" "@authority" "@target-uri" "authorization" "${CLIENT_ADDRESS_HEADER}")`;
const CREATED = NOW.getTime() / 1000;
/** Parameters as the router writes them, with some of them changed. */
function parameters(change: Record<string, string> = {}): string {
  const values = {
    covered: COVERED,
    created: `${CREATED}`,
    expires: `${CREATED + 60}`,
    nonce: '"AAAAAAAAAAAAAAAAAAAAAA=="',
    keyid: '"router-1"',
    alg: '"ed25519"',
    tag: '"domicile-router"',
    ...change,
  };
  const { covered, ...rest } = values;
  return (
    covered +
    Object.entries(rest)
      .flatMap(([name, value]) => (value === '' ? [] : [`;${name}=${value}`]))
      .join('')
  );
}

/** RFC 9421: the key of B.1.4, and the signature base and signature of B.2.6. */
const RFC_KEY = {
  kty: 'OKP',
  crv: 'Ed25519',
  d: 'n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU',
  x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs',
};
const RFC_BASE = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`;
const RFC_SIGNATURE = 'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==';

test('the Ed25519 signature of RFC 9421, appendix B.2.6, is made and verified', async () => {
  const { d: _, ...publicKey } = RFC_KEY;
  const signature = Uint8Array.from(Buffer.from(RFC_SIGNATURE, 'base64'));
  expect(Buffer.from(await signEd25519(RFC_KEY, RFC_BASE)).toString('base64')).toBe(RFC_SIGNATURE);
  expect(await verifyEd25519(publicKey, RFC_BASE, signature)).toBe(true);
  expect(await verifyEd25519(publicKey, RFC_BASE.replace('POST', 'PUT'), signature)).toBe(false);
});

describe('a request that the router signed', () => {
  test('is valid, and tells the client address', async () => {
    expect(await verify(await signed())).toEqual({ kind: 'valid', clientAddress: '192.0.2.7' });
  });

  test('is valid without a credential too', async () => {
    const message = plain();
    message.headers.delete('authorization');
    expect(await verify(await signed(message))).toEqual({ kind: 'valid', clientAddress: '192.0.2.7' });
  });

  test('says what it covers, in the form of RFC 9421', async () => {
    const { headers } = await signed();
    expect(headers.get('signature-input')).toMatch(
      /^router=\("@method" "@authority" "@target-uri" "authorization" "x-domicile-client-address"\);created=1795435200;expires=1795435260;nonce="[A-Za-z0-9+/]{22}==";keyid="router-1";alg="ed25519";tag="domicile-router"$/,
    );
    expect(headers.get('signature')).toMatch(/^router=:[A-Za-z0-9+/]{86}==:$/);
  });

  test('stays valid when headers outside the signature change', async () => {
    const message = await signed();
    message.headers.set('accept', 'text/event-stream');
    expect(await verify(message)).toMatchObject({ kind: 'valid' });
  });

  test('never has the nonce of another', async () => {
    const inputs = await Promise.all(
      Array.from({ length: 50 }, async () => (await signed()).headers.get('signature-input')),
    );
    expect(new Set(inputs).size).toBe(50);
  });

  test('cannot be made without the client address', async () => {
    const message = plain();
    message.headers.delete(CLIENT_ADDRESS_HEADER);
    await expect(signRequest(message, router.signing, NOW)).rejects.toThrow('client address');
  });
});

test('a request without any signature is a direct client', async () => {
  expect(await verify(plain())).toEqual({ kind: 'unsigned' });
});

test('the signature that this test makes by hand is valid before anything of it is changed', async () => {
  expect(await verify(await signedAs(parameters()))).toMatchObject({ kind: 'valid' });
});

const ALTERED: [string, (message: Message) => Message][] = [
  ['another method', (message) => ({ ...message, method: 'DELETE' })],
  ['another path', (message) => ({ ...message, url: message.url.replace('connections', 'tenants') })],
  ['another query', (message) => ({ ...message, url: message.url.replace('limit=1', 'limit=2') })],
  ['no query', (message) => ({ ...message, url: message.url.replace(/\?.*/, '') })],
  ['another scheme', (message) => ({ ...message, url: message.url.replace('https', 'http') })],
  ['another of our hosts', (message) => ({ ...message, url: message.url.replace(/eu[^/]*/, '127.0.0.1:9000') })],
  ['a host that is not ours', (message) => ({ ...message, url: message.url.replace('eu.', 'us.') })],
];
test.each(ALTERED)('%s than the one signed is refused', async (_, alter) => {
  expect(await verify(alter(await signed()))).toMatchObject({ kind: 'invalid' });
});

test('a request to a host that is not ours is refused though the signature over it holds', async () => {
  const message = { ...plain(), url: 'https://us.cell.test/v1/connections' };
  expect(await verify(await signed(message))).toEqual({ kind: 'invalid', reason: 'authority' });
});

const TOUCHED: [string, (headers: Headers) => void][] = [
  ['another credential', (headers) => headers.set('authorization', 'Bearer dk_eu_b')],
  ['a second credential', (headers) => headers.append('authorization', 'Bearer dk_eu_b')],
  ['the credential taken away', (headers) => headers.delete('authorization')],
  ['another client address', (headers) => headers.set(CLIENT_ADDRESS_HEADER, '192.0.2.8')],
  ['a second client address', (headers) => headers.append(CLIENT_ADDRESS_HEADER, '192.0.2.8')],
  ['the client address taken away', (headers) => headers.delete(CLIENT_ADDRESS_HEADER)],
  ['no signature', (headers) => headers.delete('signature')],
  ['no signature input', (headers) => headers.delete('signature-input')],
  ['an empty signature', (headers) => headers.set('signature', '')],
  ['an empty signature input', (headers) => headers.set('signature-input', '')],
  ['a signature that is no base 64', (headers) => headers.set('signature', 'router=:====:')],
  ['a signature too short', (headers) => headers.set('signature', 'router=:AAAA:')],
  ['another signature', (headers) => headers.set('signature', `router=:${'A'.repeat(86)}==:`)],
  ['the signature twice', (headers) => headers.append('signature', headers.get('signature') ?? '')],
  ['a second signature', (headers) => headers.append('signature', 'other=:AAAA:')],
  ['the input twice', (headers) => headers.append('signature-input', headers.get('signature-input') ?? '')],
  ['a second input', (headers) => headers.append('signature-input', 'other=()')],
  ['something after the input', (headers) => headers.set('signature-input', `${headers.get('signature-input')};x`)],
];
test.each(TOUCHED)('%s is refused', async (_, touch) => {
  const message = await signed();
  touch(message.headers);
  expect(await verify(message)).toMatchObject({ kind: 'invalid' });
});

test('a credential added to a request signed without one is refused', async () => {
  const message = plain();
  message.headers.delete('authorization');
  await signed(message);
  message.headers.set('authorization', 'Bearer dk_eu_a');
  expect(await verify(message)).toEqual({ kind: 'invalid', reason: 'components' });
});

test('another key under the name of ours, and our key under another name, are refused', async () => {
  expect(await verify(await signed(plain(), impostor.signing))).toEqual({ kind: 'invalid', reason: 'signature' });
  const renamed = { ...router.signing, keyId: 'router-2' };
  expect(await verify(await signed(plain(), renamed))).toEqual({ kind: 'invalid', reason: 'signature' });
});

const PARAMETERS: [string, Record<string, string>, string][] = [
  ['a life of 61 seconds', { expires: `${CREATED + 61}` }, 'lifetime'],
  ['a life of nothing', { expires: `${CREATED}` }, 'lifetime'],
  ['an end before its start', { expires: `${CREATED - 1}` }, 'lifetime'],
  ['another algorithm', { alg: '"rsa-pss-sha512"' }, 'malformed'],
  ['no algorithm', { alg: '' }, 'malformed'],
  ['another tag', { tag: '"other"' }, 'malformed'],
  ['no tag', { tag: '' }, 'malformed'],
  ['no nonce', { nonce: '' }, 'malformed'],
  ['a nonce too short to be one', { nonce: '"AAAA"' }, 'malformed'],
  ['no end', { expires: '' }, 'malformed'],
  ['a time that is no number', { created: '1e9' }, 'malformed'],
  ['nothing covered', { covered: '()' }, 'malformed'],
  ['fewer parts covered', { covered: `("@method" "@authority" "${CLIENT_ADDRESS_HEADER}")` }, 'components'],
  ['the credential not covered', { covered: COVERED.replace(' "authorization"', '') }, 'components'],
  ['another order', { covered: COVERED.replace('"@method" "@authority"', '"@authority" "@method"') }, 'components'],
  ['a part covered twice', { covered: COVERED.replace('"@method"', '"@method" "@method"') }, 'components'],
];
test.each(PARAMETERS)('%s is refused though signed with our key', async (_, change, reason) => {
  expect(await verify(await signedAs(parameters(change)))).toEqual({ kind: 'invalid', reason });
});

test('another label is refused though signed with our key', async () => {
  expect(await verify(await signedAs(parameters(), 'sig1'))).toEqual({ kind: 'invalid', reason: 'malformed' });
  expect(await verify(await signedAs(parameters(), 'router', 'sig1'))).toEqual({
    kind: 'invalid',
    reason: 'malformed',
  });
});

test('a signature holds from a little before it was made until it expires', async () => {
  const message = await signed();
  const kindAt = async (seconds: number) => {
    const { kind, ...rest } = await verify(message, at(seconds));
    return 'reason' in rest ? rest.reason : kind;
  };
  expect(await kindAt(-5)).toBe('valid'); // clocks differ
  expect(await kindAt(-6)).toBe('time');
  expect(await kindAt(SIGNATURE_SECONDS - 1)).toBe('valid');
  expect(await kindAt(SIGNATURE_SECONDS)).toBe('time');
  expect(await kindAt(86_400)).toBe('time');
});

describe('a replay', () => {
  test('is refused as long as the signature is good', async () => {
    let now = NOW;
    const firstUse = createNonceCache(() => now);
    const message = await signed();
    expect(await verify(message, now, firstUse)).toMatchObject({ kind: 'valid' });
    for (const seconds of [0, 1, 59, 59.999]) {
      now = at(seconds);
      expect(await verify(message, now, firstUse)).toEqual({ kind: 'invalid', reason: 'replayed' });
    }
    now = at(60);
    expect(await verify(message, now, firstUse)).toEqual({ kind: 'invalid', reason: 'time' });
  });

  test('is not invited by a forgery: a signature that does not hold uses up no nonce', async () => {
    const firstUse = createNonceCache(() => NOW);
    const message = await signed();
    const forged = { ...message, method: 'DELETE' };
    expect(await verify(forged, NOW, firstUse)).toEqual({ kind: 'invalid', reason: 'signature' });
    expect(await verify(message, NOW, firstUse)).toMatchObject({ kind: 'valid' });
  });
});

describe('the memory of nonces', () => {
  test('is bounded: when full of good ones it refuses new ones and forgets none', () => {
    const firstUse = createNonceCache(() => NOW, 3);
    const until = at(60).getTime();
    expect(['a', 'b', 'c', 'd', 'a'].map((nonce) => firstUse(nonce, until))).toEqual([true, true, true, false, false]);
  });

  test('makes room as they expire', () => {
    let now = NOW;
    const firstUse = createNonceCache(() => now, 2);
    expect(firstUse('a', at(10).getTime())).toBe(true);
    expect(firstUse('b', at(20).getTime())).toBe(true);
    now = at(10);
    expect(firstUse('c', at(70).getTime())).toBe(true);
    expect(firstUse('d', at(70).getTime())).toBe(false);
    expect(firstUse('b', at(20).getTime())).toBe(false);
  });
});
