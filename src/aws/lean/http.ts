import { Agent, type Dispatcher } from 'undici';

/** One request, signed and ready to leave. `path` holds the query. */
export type WireRequest = {
  origin: string;
  path: string;
  method: 'GET' | 'PUT';
  headers: Record<string, string>;
  body: Uint8Array | null;
  /** The longest body of a good answer that is taken. A refusal's may have at least `REFUSAL_BYTES_MAX`. */
  bodyBytesMax: number;
};

/** An answer with its whole body. Names of headers are in lower case. */
export type WireAnswer = { status: number; headers: Record<string, string | string[] | undefined>; body: Uint8Array };

/** What moves requests: the only part that knows of sockets. Errors carry their kind in `name`, as the SDK's do. */
export type Wire = {
  exchange(request: WireRequest): Promise<WireAnswer>;
  destroy(): void;
};

const REFUSAL_BYTES_MAX = 65_536;
const KEEP_ALIVE_MS = 15_000;

const KINDS: Record<string, string> = {
  UND_ERR_CONNECT_TIMEOUT: 'TimeoutError',
  UND_ERR_HEADERS_TIMEOUT: 'TimeoutError',
  UND_ERR_BODY_TIMEOUT: 'TimeoutError',
  UND_ERR_SOCKET: 'ECONNRESET',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'ECONNRESET',
  HPE_INVALID_EOF_STATE: 'ECONNRESET',
};

function failure(name: string, message: string, cause?: unknown): Error {
  const error = cause === undefined ? new Error(message) : new Error(message, { cause });
  error.name = name;
  return error;
}

/** An error of the line, by the name that a Node or SDK error of that kind has. */
function lineFailure(error: Error): Error {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Ours, and those of the system, say what they are already.
  if (code === '') return error;
  return failure(KINDS[code] ?? code, error.message, error);
}

/** Collects a body of an announced length in one buffer; one of unknown length, as far as `bytesMax`. */
function openBody(announced: string | string[] | undefined, bytesMax: number) {
  const known = announced === undefined ? null : Number(announced);
  if (known !== null && !(known <= bytesMax)) return null;
  // Off the pool: the buffer is handed on, and its memory is nobody else's.
  let bytes = Buffer.allocUnsafeSlow(known ?? Math.min(bytesMax, REFUSAL_BYTES_MAX));
  let length = 0;
  return {
    /** False when there is more than was announced, or may be. */
    add(chunk: Buffer): boolean {
      if (length + chunk.length > (known ?? bytesMax)) return false;
      if (length + chunk.length > bytes.length) {
        const wider = Buffer.allocUnsafeSlow(Math.min(bytesMax, 2 * (length + chunk.length)));
        bytes.copy(wider, 0, 0, length);
        bytes = wider;
      }
      chunk.copy(bytes, length);
      length += chunk.length;
      return true;
    },
    /** The body, or null when it ended too early. */
    end: () => (known !== null && length < known ? null : new Uint8Array(bytes.buffer, 0, length)),
  };
}

type Settle = { answer: (answer: WireAnswer) => void; fail: (error: Error) => void };

/** Reads one answer; undici calls it as parts arrive. */
function reading(request: WireRequest, settle: Settle): Dispatcher.DispatchHandler {
  let status = 0;
  let headers: WireAnswer['headers'] = {};
  let body: ReturnType<typeof openBody> = null;
  const refuse = (controller: Dispatcher.DispatchController) =>
    controller.abort(failure('BodyTooLong', `The answer is longer than ${request.bodyBytesMax} bytes.`));
  return {
    onResponseStart(controller, statusCode, received) {
      if (statusCode < 200) return;
      status = statusCode;
      headers = received;
      const bytesMax = status < 300 ? request.bodyBytesMax : Math.max(request.bodyBytesMax, REFUSAL_BYTES_MAX);
      body = openBody(received['content-length'], bytesMax);
      if (body === null) refuse(controller);
    },
    onResponseData(controller, chunk) {
      if (body !== null && !body.add(chunk)) refuse(controller);
    },
    onResponseEnd() {
      const bytes = body?.end() ?? null;
      if (bytes === null) settle.fail(failure('ECONNRESET', 'The answer ended too early.'));
      else settle.answer({ status, headers, body: bytes });
    },
    onResponseError(_, error) {
      settle.fail(lineFailure(error));
    },
  };
}

/**
 * Requests over HTTP/1.1 on connections that are kept. Bodies go into one buffer of their announced length; nothing is
 * decoded, redirected or tried again.
 *
 * @throws Error `TimeoutError`, `ECONNRESET`, `ECONNREFUSED`, …: what the line did, in `name`
 */
export function openWire(options: { connectTimeoutMs: number; requestTimeoutMs: number; connections: number }): Wire {
  const { requestTimeoutMs } = options;
  const agent = new Agent({
    connections: options.connections,
    pipelining: 1,
    allowH2: false,
    connect: { timeout: options.connectTimeoutMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    // One deadline below covers waiting for a connection, headers and body.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    exchange: (request) =>
      new Promise((resolve, reject) => {
        let open: Dispatcher.DispatchController | null = null;
        let expired: Error | null = null;
        const late = setTimeout(() => {
          expired = failure('TimeoutError', `No answer within ${requestTimeoutMs} ms.`);
          open?.abort(expired);
          reject(expired);
        }, requestTimeoutMs);
        const settled = () => clearTimeout(late);
        const handler = reading(request, {
          answer: (answer) => (settled(), resolve(answer)),
          fail: (error) => (settled(), reject(error)),
        });
        const { origin, path, method, headers, body } = request;
        agent.dispatch(
          { origin, path, method, headers, body },
          {
            ...handler,
            onRequestStart(controller) {
              open = controller;
              // It waited for a connection for too long: its caller has gone, and it must not be sent any more.
              if (expired !== null) controller.abort(expired);
            },
          },
        );
      }),
    destroy: () => void agent.destroy(),
  };
}
