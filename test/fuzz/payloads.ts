/** Bodies of requests, with the headers that describe them. */
import fc from 'fast-check';
import { anyRawBody, anyText, TEXT_MARK } from './hostile.ts';
import type { Body, Operation } from './operations.ts';
import { anySpoil, spoiled } from './spoil.ts';
import { domainToken } from './tokens.ts';
import type { Values } from './values.ts';

export interface Payload {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
}

const noPayload: fc.Arbitrary<Payload> = fc.constant({ headers: {}, body: undefined });

export function payloadOf({ operationId, bodies }: Operation, values: Values): fc.Arbitrary<Payload> {
  if (bodies.length === 0) return noPayload;
  return fc.oneof(
    ...bodies.map((body) =>
      bodyValue(operationId, body, values).map((value) => ({
        headers: { 'content-type': typeOf(body) },
        body: textOf(value, body.contentType),
      })),
    ),
  );
}

function bodyValue(operationId: string, body: Body, values: Values): fc.Arbitrary<unknown> {
  if (isJson(body.contentType)) return values.of(operationId, body.schema, body.example);
  if (body.contentType === 'message/rfc822') return rawMessage;
  return fc.oneof(fc.constant(body.example), anyText);
}

const MULTIPART = 'multipart/form-data';

function typeOf({ contentType }: Body): string {
  return contentType === MULTIPART ? `${MULTIPART}; boundary=fuzz` : contentType;
}

/** Multipart bodies and the like are sent as the example has them, and spoiled as text. */
function textOf(value: unknown, contentType: string): string {
  if (contentType === MULTIPART && typeof value === 'object' && value !== null) {
    const parts = Object.entries(value).map(
      ([name, text]) => `--fuzz\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`,
    );
    return `${parts.join('')}--fuzz--\r\n`;
  }
  return isJson(contentType) || typeof value !== 'string' ? (JSON.stringify(value) ?? '') : value;
}

function isJson(contentType: string): boolean {
  return contentType.startsWith('application/json');
}

const rawMessage: fc.Arbitrary<string> = fc
  .record({
    to: fc.constantFrom('ok@example.net', 'Name <second@example.org>', 'ok@example.net, refused@example.net'),
    bcc: fc.option(fc.constant('hidden@example.net')),
    lineEnd: fc.constantFrom('\r\n', '\r\n', '\n'),
    lines: fc.array(fc.constantFrom(TEXT_MARK, '.', '..', '', 'From x', '8-bit ü', 'x'.repeat(990)), {
      maxLength: 6,
    }),
  })
  .map(({ to, bcc, lineEnd, lines }) =>
    [
      `From: Fuzz <fuzz@${domainToken}>`,
      `To: ${to}`,
      ...(bcc === null ? [] : [`Bcc: ${bcc}`]),
      `Subject: ${TEXT_MARK}`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      '',
      ...lines,
      '',
    ].join(lineEnd),
  );

export function spoiledPayload({ operationId, bodies }: Operation, values: Values): fc.Arbitrary<Payload> {
  return fc.oneof(
    ...bodies.map((body) =>
      fc
        .tuple(
          bodyValue(operationId, body, values),
          fc.array(anySpoil, { minLength: 1, maxLength: 2 }),
          anyText,
        )
        .map(([value, spoils, text]) => {
          const headers = { 'content-type': typeOf(body) };
          if (isJson(body.contentType)) {
            return { headers, body: JSON.stringify(spoils.reduce(spoiled, value)) ?? '' };
          }
          const whole = textOf(value, body.contentType);
          const at = (spoils[0]?.at ?? 0) % (whole.length + 1);
          const cut = spoils[0]?.kind === 'drop' ? 20 : 0;
          return { headers, body: whole.slice(0, at) + text + whole.slice(at + cut) };
        }),
    ),
  );
}

export function rawPayload({ bodies }: Operation): fc.Arbitrary<Payload> {
  const contentType = bodies[0]?.contentType ?? 'application/json';
  return anyRawBody.map((body) => ({ headers: { 'content-type': contentType }, body }));
}

export function wronglyLabelled(operation: Operation, values: Values): fc.Arbitrary<Payload> {
  const types = [
    '',
    'text/plain',
    'application/jsonp',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'APPLICATION/JSON',
    'application/json; charset="utf-8"',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'multipart/form-data',
    'message/rfc822',
    'application/octet-stream',
    'application/json, text/plain',
    '\xe9',
  ];
  return fc
    .tuple(
      payloadOf(operation, values),
      fc.constantFrom(...types),
      fc.constantFrom('', '', 'gzip', 'identity', 'br, gzip'),
    )
    .map(([{ body }, type, encoding]) => ({
      body,
      headers: {
        ...(type !== '' && { 'content-type': type }),
        ...(encoding !== '' && { 'content-encoding': encoding }),
      },
    }));
}
