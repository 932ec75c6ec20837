/** One request, signed and ready to leave. `path` holds the query. */
export type WireRequest = {
  origin: string;
  path: string;
  method: 'GET' | 'PUT';
  headers: Record<string, string>;
  body: Uint8Array | null;
  /** The longest body of a good answer that is taken. */
  bodyBytesMax: number;
  /** Memory for the body of a good answer, where it is long enough: the body is then a part of it. */
  into?: Uint8Array | undefined;
};

/** An answer with its whole body. Names of headers are in lower case. */
export type WireAnswer = { status: number; headers: Record<string, string>; body: Uint8Array };

/** What moves requests: the only part that knows of sockets. Errors carry their kind in `name`, as the SDK's do. */
export type Wire = {
  exchange(request: WireRequest): Promise<WireAnswer>;
  destroy(): void;
};
