/** `dk`: a tenant's key. `ok`: an operator's. */
export type ApiKeyKind = 'dk' | 'ok';
export type ApiKeyParts = { kind: ApiKeyKind; cell: string; id: string; secret: string };

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const KEY = /^(dk|ok)_([a-z][a-z0-9]{0,15})_([0-9A-Za-z]{16})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** CRC-32 (IEEE 802.3) of ASCII text; written here because the router runs where node:zlib does not. */
function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i += 1) crc = (CRC_TABLE[(crc ^ text.charCodeAt(i)) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function checksum(text: string): string {
  let rest = crc32(text);
  let out = '';
  for (let i = 0; i < 6; i += 1, rest = Math.floor(rest / 62)) out = BASE62.charAt(rest % 62) + out;
  return out;
}

function randomBase62(characters: number): string {
  let text = '';
  while (text.length < characters) {
    for (const byte of crypto.getRandomValues(new Uint8Array(characters))) {
      if (byte < 248 && text.length < characters) text += BASE62.charAt(byte % 62); // 248 = 4 × 62: no modulo bias
    }
  }
  return text;
}

/**
 * A new key: `dk_<cell>_<id: 16>_<secret: 32><crc: 6>`, all base 62. The secret carries 190 bits. The checksum lets a
 * secret scanner, and the router, tell a key from look-alikes without asking anyone.
 */
export function newApiKey(kind: ApiKeyKind, cell: string): { key: string; parts: ApiKeyParts } {
  const parts = { kind, cell, id: randomBase62(16), secret: randomBase62(32) };
  const text = `${kind}_${cell}_${parts.id}_${parts.secret}`;
  return { key: text + checksum(text), parts };
}

/** The parts of a well-formed key whose checksum holds, else null. */
export function parseApiKey(text: string): ApiKeyParts | null {
  const match = KEY.exec(text);
  if (!match) return null;
  const [, kind, cell, id, secret, crc] = match;
  if (!cell || !id || !secret || checksum(text.slice(0, -6)) !== crc) return null;
  return { kind: kind === 'ok' ? 'ok' : 'dk', cell, id, secret };
}

/** The credential of an `Authorization: Bearer …` header, or null. The scheme is case-insensitive (RFC 9110 §11.1). */
export function bearerOf(authorization: string | null | undefined): string | null {
  const match = /^bearer +(\S+)$/i.exec(authorization ?? '');
  return match?.[1] ?? null;
}
