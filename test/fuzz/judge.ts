/** What is wrong with an answer. */
import type { ResponseValidator } from '../support/validate-response.ts';
import { SECRET_MARK, TEXT_MARK } from './hostile.ts';
import type { Operation } from './operations.ts';
import type { Answer, Sent } from './world.ts';

export interface Fault {
  readonly kind: 'server error' | 'invalid answer';
  readonly text: string;
}

export interface Judged {
  readonly operation: Operation;
  readonly sent: Sent;
  readonly answer: Answer;
  /** Of all accounts. */
  readonly secrets: readonly string[];
}

export function faultOf(judged: Judged, validator: ResponseValidator): Fault | undefined {
  const { sent, answer } = judged;
  if (answer.status >= 500) {
    return { kind: 'server error', text: `${answer.status} ${answer.body.toString().slice(0, 500)}` };
  }
  const text = leakOf(judged) ?? headerFaultOf(answer) ?? bodyFaultOf(judged, validator);
  return text === undefined
    ? undefined
    : { kind: 'invalid answer', text: `${sent.method} ${answer.status}: ${text}` };
}

function leakOf({ sent, answer, secrets }: Judged): string | undefined {
  const body = answer.body.toString('latin1');
  const all = `${body}\n${JSON.stringify(answer.headers)}`;
  if (all.includes(SECRET_MARK)) return 'a password or a key is in it';
  if (secrets.some((secret) => secret !== '' && all.includes(secret))) return 'a key in use is in it';
  const token = /^Bearer (er_\w+)/.exec(sent.headers.authorization ?? '')?.[1];
  if (token !== undefined && all.includes(token)) return 'the key of the request is in it';
  // A form may have the text in the name of a field, which is quoted where it is unknown.
  if (answer.status >= 400 && all.replace(/Unknown field `[^`]*`/, '').includes(TEXT_MARK))
    return `content of the request is in an error: ${body}`;
  return undefined;
}

function headerFaultOf({ status, headers }: Answer): string | undefined {
  if (!/^req_[0-9a-hjkmnp-tv-z]{26}$/.test(String(headers['x-request-id']))) return 'it has no x-request-id';
  if (headers['cache-control'] !== 'no-store') return `cache-control is ${headers['cache-control']}`;
  if (headers['x-injected'] !== undefined) return 'a header of the request was injected';
  if (status === 429 && headers['retry-after'] === undefined) return 'it has no retry-after';
  return undefined;
}

function bodyFaultOf({ operation, sent, answer }: Judged, validator: ResponseValidator): string | undefined {
  const type = String(answer.headers['content-type'] ?? '').split(';')[0] ?? '';
  const isError = answer.status >= 400;
  const described = operation.answers.get(answer.status)?.map((one) => one.split(';')[0]) ?? [];
  // A file comes in the content type that it was sent with.
  if (!isError && described.includes('application/octet-stream')) return undefined;
  if (sent.method !== 'HEAD' && type !== 'application/json') {
    // A page for people may have errors for people; all others are JSON by their description. Another method may be
    // another route, which is described elsewhere.
    if (sent.method !== operation.method && type === 'text/html') return undefined;
    return described.includes(type) ? undefined : `its content type is ${type || 'missing'}`;
  }
  const body = answer.body.toString();
  const fault = validator.faultOf({
    method: sent.method,
    path: routedPath(sent.path),
    status: answer.status,
    body,
  });
  if (fault !== undefined || !isError || sent.method === 'HEAD') return fault;
  const { statusCode, request_id } = JSON.parse(body);
  if (statusCode !== answer.status) return `statusCode is ${statusCode}`;
  return request_id === answer.headers['x-request-id'] ? undefined : `request_id is ${request_id}`;
}

/** As the router sees it: dots are a segment like any other, and what may be decoded is. */
export function routedPath(raw: string): string {
  const [path = ''] = raw.split('?');
  return path.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => {
    try {
      return decodeURI(escapes.replaceAll('%25', '%2525'));
    } catch {
      return escapes;
    }
  });
}
