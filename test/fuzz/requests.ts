/** Requests to one operation: right ones, and ones with one thing wrong. */
import fc from 'fast-check';
import { inHeader, percentEncoded } from './encoding.ts';
import { anyText, HOSTILE_SEGMENTS, TEXT_MARK } from './hostile.ts';
import type { Operation } from './operations.ts';
import { payloadOf, rawPayload, spoiledPayload, wronglyLabelled } from './payloads.ts';
import { anySender, rightSender, type Sender } from './senders.ts';
import { idToken } from './tokens.ts';
import type { Values } from './values.ts';

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
  updateBroadcast: 'brd-draft',
  sendBroadcast: 'brd-draft',
  cancelBroadcast: 'brd-scheduled',
};

const ID_KINDS = ['msg', 'key', 'rly', 'dom', 'acc', 'sup', 'evt', 'con', 'lst', 'top', 'prp', 'brd'];

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
    return state === undefined
      ? plain
      : fc.oneof(plain, ...Array<fc.Arbitrary<string>>(3).fill(idToken('own', state)));
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
