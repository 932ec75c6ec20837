/**
 * HTTP Message Signatures (RFC 9421) between the router and the cells: Ed25519, one label, one fixed list of components.
 * Runs wherever WebCrypto does. `keyid` only finds the key; trust comes from having that key configured.
 */

export type SigningKey = { keyId: string; privateKey: JsonWebKey };
export type VerifyingKey = { keyId: string; publicKey: JsonWebKey };

/** The client's address as the router saw it. A direct client's own header of that name is ignored. */
export const CLIENT_ADDRESS_HEADER = 'x-domicile-client-address';
/** A signature is good for this long; a nonce is remembered as long. */
export const SIGNATURE_SECONDS = 60;

const LABEL = 'router';
const TAG = 'domicile-router';
const CLOCK_SKEW_SECONDS = 5;

type Message = { method: string; url: string; headers: Headers };

/** Components that are signed, in this order; `authorization` only where the request has one. */
function componentsOf(headers: Headers): string[] {
  return [
    '@method',
    '@authority',
    '@target-uri',
    ...(headers.has('authorization') ? ['authorization'] : []),
    CLIENT_ADDRESS_HEADER,
  ];
}

/** Value of a component (RFC 9421 §2.1, §2.2). */
function valueOf(component: string, { method, url, headers }: Message): string | null {
  const target = new URL(url);
  if (component === '@method') return method.toUpperCase();
  if (component === '@authority') return target.host.toLowerCase();
  if (component === '@target-uri') return target.href;
  return headers.get(component)?.trim() ?? null;
}

function signatureBase(components: readonly string[], parameters: string, message: Message): string | null {
  const lines: string[] = [];
  for (const component of components) {
    const value = valueOf(component, message);
    if (value === null) return null;
    lines.push(`"${component}": ${value}`);
  }
  return [...lines, `"@signature-params": ${parameters}`].join('\n');
}

const base64 = (bytes: ArrayBuffer | Uint8Array) => btoa(String.fromCharCode(...new Uint8Array(bytes)));

function bytesOf(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

const importKey = (jwk: JsonWebKey, usage: 'sign' | 'verify') =>
  crypto.subtle.importKey('jwk', jwk, { name: 'Ed25519' }, false, [usage]);

/** Signs and verifies raw text with Ed25519; exported for the RFC's own test vector. */
export async function signEd25519(jwk: JsonWebKey, text: string): Promise<Uint8Array> {
  return new Uint8Array(
    await crypto.subtle.sign('Ed25519', await importKey(jwk, 'sign'), new TextEncoder().encode(text)),
  );
}
export async function verifyEd25519(
  jwk: JsonWebKey,
  text: string,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  return crypto.subtle.verify('Ed25519', await importKey(jwk, 'verify'), signature, new TextEncoder().encode(text));
}

/**
 * Headers that sign a request about to be forwarded. `message.headers` must already be as they will arrive, with the
 * client's address among them.
 */
export async function signRequest(
  message: Message,
  key: SigningKey,
  now: Date,
): Promise<{ 'signature-input': string; signature: string }> {
  const created = Math.floor(now.getTime() / 1000);
  const nonce = base64(crypto.getRandomValues(new Uint8Array(16)));
  const components = componentsOf(message.headers);
  const list = components.map((component) => `"${component}"`).join(' ');
  const parameters = `(${list});created=${created};expires=${created + SIGNATURE_SECONDS};nonce="${nonce}";keyid="${key.keyId}";alg="ed25519";tag="${TAG}"`;
  const base = signatureBase(components, parameters, message);
  if (base === null) throw new Error('a request to sign lacks the client address');
  return {
    'signature-input': `${LABEL}=${parameters}`,
    signature: `${LABEL}=:${base64(await signEd25519(key.privateKey, base))}:`,
  };
}

const INPUT =
  /^router=(\(("[a-z0-9@-]+"(?: "[a-z0-9@-]+")*)\);created=(\d{1,12});expires=(\d{1,12});nonce="([A-Za-z0-9+/=]{22,64})";keyid="([\x20-\x21\x23-\x5b\x5d-\x7e]{1,128})";alg="ed25519";tag="domicile-router")$/;
const SIGNATURE = /^router=:([A-Za-z0-9+/=]{1,128}):$/;

export type Verification =
  | { kind: 'unsigned' }
  | { kind: 'valid'; clientAddress: string }
  | { kind: 'invalid'; reason: string };

/**
 * Does the router's signature hold? A request without any is a direct client's, which is ordinary.
 *
 * @param options.authorities hosts (with port) that this cell answers for; another one means a request for someone else
 * @param options.firstUse remembers a nonce until `expiresMs`, and answers false when it was there
 */
export async function verifyRequest(
  message: Message,
  options: {
    keys: readonly VerifyingKey[];
    authorities: readonly string[];
    now: Date;
    firstUse: (nonce: string, expiresMs: number) => boolean;
  },
): Promise<Verification> {
  const { headers } = message;
  if (!headers.has('signature') && !headers.has('signature-input')) return { kind: 'unsigned' };
  const invalid = (reason: string): Verification => ({ kind: 'invalid', reason });
  const [, parameters = '', list = '', created = '', expires = '', nonce = '', keyId = ''] =
    INPUT.exec(headers.get('signature-input') ?? '') ?? [];
  const signature = bytesOf(SIGNATURE.exec(headers.get('signature') ?? '')?.[1] ?? '');
  if (parameters === '' || !signature || signature.length !== 64) return invalid('malformed');
  const components = list.split(' ').map((quoted) => quoted.slice(1, -1));
  if (components.join() !== componentsOf(headers).join()) return invalid('components');
  const nowSeconds = options.now.getTime() / 1000;
  const lives = Number(expires) - Number(created);
  if (lives <= 0 || lives > SIGNATURE_SECONDS) return invalid('lifetime');
  if (nowSeconds + CLOCK_SKEW_SECONDS < Number(created) || nowSeconds >= Number(expires)) return invalid('time');
  if (!options.authorities.includes(new URL(message.url).host.toLowerCase())) return invalid('authority');
  const key = options.keys.find((candidate) => candidate.keyId === keyId);
  const base = signatureBase(components, parameters, message);
  if (!key || base === null || !(await verifyEd25519(key.publicKey, base, signature))) return invalid('signature');
  if (!options.firstUse(nonce, Number(expires) * 1000)) return invalid('replayed');
  return { kind: 'valid', clientAddress: headers.get(CLIENT_ADDRESS_HEADER) ?? '' };
}

/**
 * Nonces seen, each until it expires, at most `max` at a time: when full, the oldest are forgotten only if expired, else the
 * new one is refused, so that a flood cannot make room for a replay.
 */
export function createNonceCache(now: () => Date, max = 200_000) {
  const seen = new Map<string, number>();
  return (nonce: string, expiresMs: number): boolean => {
    const nowMs = now().getTime();
    for (const [old, until] of seen) {
      if (until > nowMs) break; // in order of arrival, and so nearly of expiry
      seen.delete(old);
    }
    if (seen.has(nonce) || seen.size >= max) return false;
    seen.set(nonce, expiresMs);
    return true;
  };
}
