import type { AwsError, AwsResponse } from '../service.ts';
import { escapeXml } from './xml.ts';

const XML = { 'content-type': 'text/xml;charset=UTF-8' };

/** Writes an error in the protocol of its service, as an SDK, the CLI and boto3 parse it. */
export function errorResponse(service: string, error: AwsError, requestId: string, method = 'POST'): AwsResponse {
  const { code, status, message } = error;
  const extra = Object.entries(error.extra)
    .map(([key, value]) => `<${key}>${escapeXml(value)}</${key}>`)
    .join('');
  const text = escapeXml(message);
  switch (service) {
    case 'ec2':
      return {
        status,
        headers: XML,
        body: `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>${code}</Code><Message>${text}</Message></Error></Errors><RequestID>${requestId}</RequestID></Response>`,
      };
    case 's3':
      return {
        status,
        headers: { 'content-type': 'application/xml' },
        body:
          method === 'HEAD'
            ? ''
            : `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${text}</Message>${extra}<RequestId>${requestId}</RequestId></Error>`,
      };
    case 'kms':
      return {
        status,
        headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': code },
        body: JSON.stringify({ __type: code, message, ...error.extra }),
      };
    case 'ebs':
      return {
        status,
        headers: { 'content-type': 'application/json', 'x-amzn-errortype': code },
        body: JSON.stringify({ Message: message, ...error.extra }),
      };
    default:
      return {
        status,
        headers: XML,
        body: `<ErrorResponse><Error><Type>${status < 500 ? 'Sender' : 'Receiver'}</Type><Code>${code}</Code><Message>${text}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
      };
  }
}
