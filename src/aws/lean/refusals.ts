import type { WireAnswer } from './wire.ts';

/**
 * An answer that is a refusal, as an error with the fields of the SDK's own: `name` is AWS's code, `Reason` EBS's.
 */
export type Refusal = Error & {
  Reason?: string;
  $metadata: { httpStatusCode: number; requestId?: string };
};

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function element(xml: string, name: string): string {
  const [, text = ''] = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml) ?? [];
  return text.replace(/&(\w+);/g, (whole, entity: string) => ENTITIES[entity] ?? whole);
}

type Told = { code: string; message: string; reason: string };

function toldInJson(text: string): Told {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // A proxy's page, or a refusal that was cut: the status speaks.
  }
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const first = (...names: string[]) => names.map((name) => fields[name]).find((one) => typeof one === 'string') ?? '';
  return {
    code: String(first('__type', 'code', 'Code')),
    message: String(first('message', 'Message')),
    reason: String(first('Reason', 'reason')),
  };
}

/** `prefix#Code:http://…` is `Code`. Source: AWS restJson1 protocol, operation error serialization. */
const bareCode = (code: string) => code.replace(/^.*#/, '').replace(/:.*$/, '');

/** What AWS refused with, from the body (JSON or XML) and the headers of its answer. */
export function refusalOf(answer: WireAnswer): Refusal {
  const text = Buffer.from(answer.body.buffer, answer.body.byteOffset, answer.body.length).toString('utf8');
  const told: Told = text.trimStart().startsWith('<')
    ? { code: element(text, 'Code'), message: element(text, 'Message'), reason: '' }
    : toldInJson(text);
  const code = bareCode(answer.headers['x-amzn-errortype'] ?? told.code);
  const error = new Error(told.message);
  error.name = code === '' ? (answer.status === 412 ? 'PreconditionFailed' : 'Unknown') : code;
  const requestId = answer.headers['x-amzn-requestid'] ?? answer.headers['x-amz-request-id'];
  return Object.assign(error, {
    ...(told.reason === '' ? {} : { Reason: told.reason }),
    $metadata: { httpStatusCode: answer.status, ...(requestId === undefined ? {} : { requestId }) },
  });
}
