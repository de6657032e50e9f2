/** A finding for people, with a request that can be sent again. */
import type { Finding } from './campaign.ts';
import type { Sent } from './world.ts';

const SHOWN = 2000;

export function describeFinding({ operation, fault, sent, shrunk }: Finding): string {
  return [
    `FAILED ${operation.at}: ${fault.kind}: ${fault.text}`,
    `  sent: ${describeRequest(sent)}`,
    shrunk ? `  shrunk: ${describeRequest(shrunk)}` : '  not again when it was sent by itself',
  ].join('\n');
}

/** Bytes that are not text are shown in base64. */
function describeRequest({ method, path, headers, body, chunked }: Sent): string {
  const text = body?.toString() ?? '';
  const isText = body === undefined || Buffer.from(text).equals(body);
  const shown = isText ? { body: cut(text) } : { base64: cut(body.toString('base64')) };
  return JSON.stringify({
    method,
    path,
    headers,
    ...(body && { bytes: body.byteLength, ...shown }),
    chunked,
  });
}

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
