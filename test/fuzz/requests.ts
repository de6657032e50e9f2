/** Requests to one operation: right ones, and ones with one thing wrong. */
import fc from 'fast-check';
import {
  anyRawBody,
  anySpoil,
  anyText,
  HOSTILE_SEGMENTS,
  SECRET_MARK,
  spoiled,
  TEXT_MARK,
} from './hostile.ts';
import { type Body, ID, type Operation } from './operations.ts';
import { domainToken, idToken } from './tokens.ts';
import type { Values } from './values.ts';

/** `sending` may only send, `made` is a key that a request made, `closed` belonged to an account that is closed. */
export type Sender =
  | 'owner'
  | 'other'
  | 'sending'
  | 'made'
  | 'closed'
  | 'operator'
  | 'wrong'
  | 'broken'
  | 'none';

/** With tokens in it. */
export interface Plan {
  readonly sender: Sender;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A text may hold tokens, bytes are sent as they are. */
  readonly body: string | Buffer | undefined;
  /** Without a length, in pieces. */
  readonly chunked: boolean;
}

/** Some states are rare: ids of things that are in them are picked for these as often as any. */
const WANTED_STATES: Readonly<Record<string, string>> = {
  resolveDelivery: 'msg-in_doubt',
  cancelEmail: 'msg-scheduled',
  updateEmail: 'msg-scheduled',
  rescheduleEmail: 'msg-scheduled',
};

const ID_KINDS = ['msg', 'key', 'rly', 'dom', 'acc', 'sup', 'evt'];

interface Payload {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
}

export function requestsTo(operation: Operation, values: Values): fc.Arbitrary<Plan> {
  const { method, parameters } = operation;
  const hasPath = operation.path.includes('{');
  const right = {
    sender: rightSender(operation),
    method: fc.constant(method),
    path: pathOf(operation, values),
    query: queryOf(operation, values),
    headers: headersOf(operation, values),
    payload: payloadOf(operation, values),
    chunked: fc.integer({ min: 0, max: 9 }).map((tenth) => tenth === 0),
  };
  const plans = (changes: Partial<typeof right> = {}) =>
    fc.record({ ...right, ...changes }).map(
      ({ query, headers, payload, path, ...rest }): Plan => ({
        ...rest,
        path: query === '' ? path : `${path}?${query}`,
        headers: { ...headers, ...payload.headers },
        body: payload.body,
      }),
    );
  const hasBody = operation.bodies.length > 0;
  const isRead = method === 'GET' || parameters.some((one) => one.in === 'query');
  const kinds: readonly (readonly [weight: number, plans: () => fc.Arbitrary<Plan>])[] = [
    [8, () => plans()],
    [hasBody ? 10 : 0, () => plans({ payload: spoiledPayload(operation, values) })],
    [hasBody ? 3 : 1, () => plans({ payload: rawPayload(operation) })],
    [hasBody ? 2 : 0, () => plans({ payload: wronglyLabelled(operation, values) })],
    [isRead ? 4 : 1, () => plans({ query: wrongQuery(operation, values) })],
    [hasPath ? 6 : 0, () => plans({ path: wrongPath(operation, values) })],
    [3, () => plans({ sender: anySender })],
    [1, () => plans({ method: anyMethod })],
    [2, () => plans({ headers: wrongHeaders })],
  ];
  return fc.oneof(
    ...kinds.filter(([weight]) => weight > 0).map(([weight, make]) => ({ weight, arbitrary: make() })),
  );
}

const anyMethod = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PURGE');

function pathOf(operation: Operation, values: Values): fc.Arbitrary<string> {
  return pathWith(operation, (name) => rightSegment(operation, values, name));
}

function wrongPath(operation: Operation, values: Values): fc.Arbitrary<string> {
  return pathWith(operation, (name) => {
    const prefix = operation.idPrefixes[name] ?? 'msg';
    const otherKind = fc.constantFrom(...ID_KINDS).chain((kind) => idToken('own', kind));
    return fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...HOSTILE_SEGMENTS) },
      { weight: 2, arbitrary: idToken('other', prefix) },
      { weight: 2, arbitrary: idToken('gone', prefix) },
      { weight: 2, arbitrary: otherKind },
      { weight: 1, arbitrary: idToken('own', prefix).map((token) => `${token}x`) },
      { weight: 1, arbitrary: anyText.map(percentEncoded) },
      { weight: 1, arbitrary: rightSegment(operation, values, name) },
    );
  });
}

function rightSegment(operation: Operation, values: Values, name: string): fc.Arbitrary<string> {
  const { operationId } = operation;
  const prefix = operation.idPrefixes[name];
  if (prefix !== undefined) {
    const state = WANTED_STATES[operationId];
    const plain = idToken('own', prefix);
    return state === undefined ? plain : fc.oneof(plain, idToken('own', state));
  }
  const parameter = operation.parameters.find((one) => one.in === 'path' && one.name === name);
  return values
    .named(operationId, name, parameter?.schema ?? { type: 'string' })
    .map((value) => percentEncoded(String(value)));
}

function pathWith(
  operation: Operation,
  segment: (name: string) => fc.Arbitrary<string>,
): fc.Arbitrary<string> {
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
  if (names.length === 0) return fc.constant(operation.path);
  return fc
    .tuple(...names.map(segment))
    .map((segments) =>
      names.reduce((path, name, at) => path.replace(`{${name}}`, () => segments[at] ?? ''), operation.path),
    );
}

function rightSender({ access }: Operation): fc.Arbitrary<Sender> {
  if (access === 'operator') return fc.constant('operator');
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant<Sender>('owner') },
    { weight: 4, arbitrary: fc.constant<Sender>('other') },
    { weight: 1, arbitrary: fc.constantFrom<Sender>('sending', 'made') },
  );
}

const anySender = fc.constantFrom<Sender>(
  'owner',
  'other',
  'sending',
  'made',
  'closed',
  'operator',
  'wrong',
  'broken',
  'none',
);

function queryOf(operation: Operation, values: Values): fc.Arbitrary<string> {
  const parameters = operation.parameters.filter((one) => one.in === 'query');
  if (parameters.length === 0) return fc.constant('');
  const cursor = operation.idPrefixes.id ?? listPrefix(operation);
  const pairs = parameters.map(({ name, schema, required }) => {
    const isCursor = (name === 'after' || name === 'before') && cursor !== undefined;
    const value = isCursor ? idToken('own', cursor) : values.named(operation.operationId, name, schema);
    const pair = value.map((one) => `${name}=${percentEncoded(String(one))}`);
    return required ? pair : fc.option(pair, { freq: 2, nil: undefined });
  });
  return fc.oneof(
    {
      weight: 1,
      arbitrary: fc.tuple(...pairs).map((all) =>
        all
          .filter((pair) => pair !== undefined)
          .slice(0, 2)
          .join('&'),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(...pairs).map((all) => all.filter((pair) => pair !== undefined).join('&')),
    },
  );
}

function listPrefix({ at }: Operation): string | undefined {
  const kinds: Readonly<Record<string, string>> = {
    emails: 'msg',
    domains: 'dom',
    'api-keys': 'key',
    relays: 'rly',
  };
  return kinds[at.split('/').at(-1) ?? ''] ?? (at.endsWith('/accounts') ? 'acc' : undefined);
}

function wrongQuery(operation: Operation, values: Values): fc.Arbitrary<string> {
  const known = operation.parameters.filter((one) => one.in === 'query').map(({ name }) => name);
  // A long poll that is well asked for takes its time: it is not asked for by chance.
  const name = fc.constantFrom(
    ...known.filter((one) => one !== 'wait'),
    'limit',
    'after',
    'unknown',
    '__proto__',
    'id',
    '',
  );
  const value = fc.oneof(
    anyText.map(percentEncoded),
    fc.constantFrom(
      '0',
      '-1',
      '101',
      '1e2',
      '%31',
      '100 ',
      '999999999999',
      '%00',
      '%ff',
      '%',
      '%zz',
      '+',
      'x'.repeat(3000),
    ),
    fc.constantFrom(...ID_KINDS).chain((kind) => idToken('other', kind)),
  );
  const pair = fc
    .tuple(name, value)
    .map(([key, text]) => `${percentEncoded(key)}=${text.replaceAll(' ', '%20')}`);
  return fc.oneof(
    fc.array(pair, { minLength: 1, maxLength: 4 }).map((pairs) => pairs.join('&')),
    fc.tuple(queryOf(operation, values), pair).map((pairs) => pairs.join('&')),
    fc.constantFrom(
      '&&&',
      '=',
      '?',
      '&=&',
      'limit',
      'limit=1&limit=2',
      'limit[]=1',
      'after=a&before=b',
      '%',
      '[object%20Object]',
    ),
  );
}

function headersOf(operation: Operation, values: Values): fc.Arbitrary<Record<string, string>> {
  const parameters = operation.parameters.filter((one) => one.in === 'header');
  const fields = parameters.map(({ name, schema }) =>
    fc
      .option(
        name.toLowerCase() === 'idempotency-key'
          ? // Few of them, so that some are used again.
            fc.nat(60).map((n) => `${TEXT_MARK}${n}`)
          : values.named(operation.operationId, name, schema).map(String),
        { freq: 2, nil: undefined },
      )
      .map((value) => [name, value] as const),
  );
  return fc
    .tuple(...fields)
    .map((all) =>
      Object.fromEntries(
        all
          .filter((one): one is [string, string] => one[1] !== undefined)
          .map(([name, value]) => [name, inHeader(value)]),
      ),
    );
}

const wrongHeaders: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.constantFrom(
    'idempotency-key',
    'x-batch-validation',
    'content-encoding',
    'accept',
    'accept-encoding',
    'x-request-id',
    'cf-connecting-ip',
    'x-forwarded-for',
    'x-http-method-override',
    'range',
    'if-none-match',
    'cookie',
    'origin',
    'user-agent',
    'expect-ct',
  ),
  fc.oneof(
    anyText.map(inHeader),
    fc.constantFrom(
      '',
      'permissive',
      'gzip',
      'identity',
      '*/*',
      'text/html',
      'bytes=0-1',
      'DELETE',
      '::1',
      '1.2.3.4, 5.6.7.8',
      `${TEXT_MARK}\xe9`,
      `${TEXT_MARK}${'x'.repeat(300)}`,
    ),
  ),
  { minKeys: 1, maxKeys: 3 },
);

const noPayload: fc.Arbitrary<Payload> = fc.constant({ headers: {}, body: undefined });

function payloadOf({ operationId, bodies }: Operation, values: Values): fc.Arbitrary<Payload> {
  if (bodies.length === 0) return noPayload;
  return fc.oneof(
    ...bodies.map((body) =>
      bodyValue(operationId, body, values).map((value) => ({
        headers: { 'content-type': body.contentType },
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

/** Multipart bodies and the like are sent as the example has them, and spoiled as text. */
function textOf(value: unknown, contentType: string): string {
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

function spoiledPayload({ operationId, bodies }: Operation, values: Values): fc.Arbitrary<Payload> {
  return fc.oneof(
    ...bodies.map((body) =>
      fc
        .tuple(
          bodyValue(operationId, body, values),
          fc.array(anySpoil, { minLength: 1, maxLength: 2 }),
          anyText,
        )
        .map(([value, spoils, text]) => {
          const headers = { 'content-type': body.contentType };
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

function rawPayload({ bodies }: Operation): fc.Arbitrary<Payload> {
  const contentType = bodies[0]?.contentType ?? 'application/json';
  return anyRawBody.map((body) => ({ headers: { 'content-type': contentType }, body }));
}

function wronglyLabelled(operation: Operation, values: Values): fc.Arbitrary<Payload> {
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

/** The whole `Authorization` header of those who have no key. */
export const WRONG_KEYS: readonly string[] = [
  `Bearer er_live_${SECRET_MARK}`,
  `Bearer ${SECRET_MARK}${'x'.repeat(2000)}`,
  `Bearer re_${SECRET_MARK}`,
  `bearer  ${SECRET_MARK} x`,
];

export const BROKEN_KEYS: readonly string[] = [
  'Bearer',
  'Bearer ',
  'Basic YTpi',
  'Token x',
  '\xe9',
  'Bearer \xe9',
  'Bearer a,Bearer b',
];

function inHeader(text: string): string {
  return text.replace(/[^\t\x20-\x7e\xa0-\xff]/g, '?').trim();
}

/** Lone surrogates as the bytes they would be; nothing else that a client could not send. */
function percentEncoded(text: string): string {
  if (ID.test(text)) return text;
  let encoded = '';
  for (const character of text) {
    if (/^[A-Za-z0-9._~@:+-]$/.test(character)) encoded += character;
    else
      for (const byte of Buffer.from(character, 'utf8')) encoded += `%${byte.toString(16).padStart(2, '0')}`;
  }
  return encoded;
}
