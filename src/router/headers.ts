/** Hop-by-hop headers: they are about one connection and never forwarded (RFC 9110 §7.6.1). */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Codings that `fetch` has undone by the time the router sees a body, although the header still names them. */
const DECODED = /^(x-gzip|gzip|deflate|br|zstd)$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** What only a proxy may say of a client: from a client itself it is a claim, and dropped. */
const SPOOFABLE =
  /^(x-forwarded-.*|forwarded|via|x-real-ip|true-client-ip|cf-.*|x-domicile-.*|signature|signature-input|host|content-length|expect)$/;

function withoutHops(headers: Headers): Headers {
  const kept = new Headers(headers);
  const named = (headers.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase());
  for (const name of [...HOP_BY_HOP, ...named]) if (TOKEN.test(name)) kept.delete(name);
  return kept;
}

/** The headers of a request as they go on to a cell, without the router's own. */
export function forwardedHeaders(headers: Headers): Headers {
  const kept = withoutHops(headers);
  for (const name of Array.from(kept.keys())) if (SPOOFABLE.test(name)) kept.delete(name);
  // fetch undoes content codings of answers: asked for none, what arrives can be passed on as it is.
  kept.set('accept-encoding', 'identity');
  return kept;
}

/** The headers of an answer as they go back to the client. */
export function answerHeaders(headers: Headers): Headers {
  const kept = withoutHops(headers);
  if (DECODED.test(kept.get('content-encoding')?.toLowerCase() ?? '')) {
    kept.delete('content-encoding');
    kept.delete('content-length');
  }
  return kept;
}
