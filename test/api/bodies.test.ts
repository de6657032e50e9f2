import { beforeAll, describe, expect, it } from 'vitest';
import { app } from '../../src/app.ts';
import { BodyBudget, bodyBudget } from '../../src/http/body-budget.ts';
import { parseStrictJson } from '../../src/http/strict-json.ts';
import {
  call,
  callAsOperator,
  createAccount,
  jsonOf,
  send,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const MIB = 1024 * 1024;
/** Reads a message (see raw-emails.test.ts), a file (contact-imports.test.ts), or a form of a page. */
const WITHOUT_JSON = /emails\/raw$|contacts\/imports$| \/(?:confirm$|u\/|preferences\/|join\/)/;
/** Routes that act without reading a body, or where it may be left away: those have tests of their own. */
const WITHOUT_BODY =
  /\/(?:verify|suspend|resume|close|cancel|preview|publish|duplicate|resend-confirmation|rewrap|test|send|pause|segments\/:segment|events\/:\w+\/replay|rotate)$/;

/** As the SDK sends it, and an empty one too. */
const TAKES_A_LIST = /contacts\/:\w+\/topics$/;
/** More than a route takes. */
const tooMuchFor = (route: string) =>
  /v1\/(?:emails|templates|broadcasts)/.test(route) ? 16 * MIB : 128 * 1024;

let account: TestAccount;
let routes: string[];
beforeAll(async () => {
  account = await createAccount();
  const writing = app.routes.filter((route) => ['POST', 'PUT', 'PATCH'].includes(route.method));
  routes = [...new Set(writing.map((route) => `${route.method} ${route.path}`))];
  routes = routes.filter((route) => !WITHOUT_BODY.test(route) && !WITHOUT_JSON.test(route));
});

function request(route: string, options: { body?: BodyInit; headers?: Record<string, string> }) {
  const [method = '', path = ''] = route.split(' ');
  const operator = path.startsWith('/v1/admin');
  const target = path.replace('accounts/:id', `accounts/${account.id}`).replace(/:[^/]+/g, 'x.example');
  const send = operator ? callAsOperator : (p: string, r: object) => call(p, { ...r, key: account.key });
  return send(target, { method, ...options });
}

/** A body of unknown length, in pieces. */
function stream(pieces: Iterable<string>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.iterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull: (controller) => {
      const next = iterator.next();
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
  });
}

function* filler(bytes: number): Iterable<string> {
  yield '{"name":"';
  for (let sent = 0; sent < bytes; sent += 65_536) yield 'x'.repeat(65_536);
  yield '"}';
}

async function codeOf(response: Response): Promise<[number, string]> {
  return [response.status, textAt(await jsonOf(response), 'code')];
}

/** Chunked: there is no Content-Length to believe. */
function chunked(route: string, pieces: Iterable<string>): Promise<Response> {
  const [method = '', path = ''] = route.split(' ');
  const key = path.startsWith('/v1/admin') ? undefined : account.key;
  const target = path.replace('accounts/:id', `accounts/${account.id}`).replace(/:[^/]+/g, 'x.example');
  const headers = {
    authorization: `Bearer ${key ?? 'test-admin-token-0123456789abcdefghij'}`,
    'content-type': 'application/json',
  };
  return send(new Request(`https://relay.test${target}`, { method, headers, body: stream(pieces) }));
}

describe('request bodies', () => {
  it('are limited on every route by the bytes really read', async () => {
    expect(routes.length).toBeGreaterThan(8);
    for (const route of routes) {
      expect([route, ...(await codeOf(await chunked(route, filler(tooMuchFor(route)))))]).toEqual([
        route,
        413,
        'body_too_large',
      ]);
    }
  });

  it('are refused by their declared length before a byte is read', async () => {
    for (const route of routes) {
      const body = 'x'.repeat(tooMuchFor(route));
      expect(await codeOf(await request(route, { body }))).toEqual([413, 'body_too_large']);
    }
  });

  it('are read as plain JSON only, on every route', async () => {
    const json = { 'content-type': 'application/json' };
    const cases: [string, { body?: BodyInit; headers?: Record<string, string> }, [number, string]][] = [
      [
        'gzip',
        { body: '{}', headers: { ...json, 'content-encoding': 'gzip' } },
        [415, 'unsupported_content_encoding'],
      ],
      [
        'form',
        { body: '{}', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
        [415, 'unsupported_content_type'],
      ],
      [
        'text',
        { body: '{}', headers: { 'content-type': 'text/plain; application/json' } },
        [415, 'unsupported_content_type'],
      ],
      [
        'charset',
        { body: '{}', headers: { 'content-type': 'application/json; charset=utf-16' } },
        [415, 'unsupported_content_type'],
      ],
      ['nothing', { headers: json }, [400, 'invalid_json']],
      ['half', { body: '{"name":', headers: json }, [400, 'invalid_json']],
      ['two', { body: '{}{}', headers: json }, [400, 'invalid_json']],
      ['prototype', { body: '{"name":"x","__proto__":{"a":1}}', headers: json }, [400, 'invalid_json']],
      ['unknown', { body: '{"nonsense":1}', headers: json }, [422, 'any']],
      ['list', { body: '[]', headers: json }, [422, 'any']],
      ['null', { body: 'null', headers: json }, [422, 'any']],
    ];
    for (const route of routes) {
      for (const [what, options, [status, code]] of cases) {
        if (what === 'list' && TAKES_A_LIST.test(route)) continue;
        const [gotStatus, gotCode] = await codeOf(await request(route, options));
        const expected = [route, what, status, code === 'any' ? gotCode : code];
        expect([route, what, gotStatus, gotCode]).toEqual(expected);
      }
    }
  });

  it('may say charset=utf-8, and must then be UTF-8', async () => {
    const headers = {
      authorization: `Bearer ${account.key}`,
      'content-type': 'application/json; charset=UTF-8',
    };
    const post = (body: BodyInit) =>
      send(new Request('https://relay.test/v1/api-keys', { method: 'POST', headers, body }));
    expect((await post('{"name":"Schlüssel"}')).status).toBe(201);
    const broken = new Uint8Array([
      ...new TextEncoder().encode('{"name":"'),
      0xff,
      ...new TextEncoder().encode('"}'),
    ]);
    expect(textAt(await jsonOf(await post(broken)), 'message')).toContain('it is not UTF-8');
    expect((await post('\uFEFF{"name":"x"}')).status).toBe(400);
  });

  it('name an unknown field and a missing one', async () => {
    const messages: string[] = [];
    for (const body of [
      '{"name":"x","nmae":"y"}',
      '{}',
      '{"name":5}',
      '{"name":"x","permission":"root"}',
      '"x"',
    ]) {
      const response = await request('POST /v1/api-keys', { body });
      messages.push(textAt(await jsonOf(response), 'message'));
    }
    expect(messages).toEqual([
      'Unknown field `nmae`.',
      'Missing `name` field.',
      'Invalid `name` field: expected string, received number.',
      'Invalid `permission` field: expected one of "full_access"|"sending_access".',
      'Invalid `body` field: expected object, received string.',
    ]);
  });

  it('are read once where a path is literally the pattern of its route', async () => {
    for (const [path, body] of [
      ['/v1/relays/:id', { weight: 1 }],
      ['/v1/api-keys/:id', { name: 'x' }],
    ] as const) {
      const response = await call(path, { method: 'PATCH', key: account.key, body });
      expect([path, response.status]).toEqual([path, 404]);
    }
  });

  it('of several megabytes are all answered when they come at once', async () => {
    const route = 'POST /v1/emails';
    const answers = await Promise.all(Array.from({ length: 4 }, () => chunked(route, filler(3 * MIB))));
    for (const answer of answers) expect(answer.status).toBe(422);
  });

  it('leave nothing held once they are answered', () => {
    expect(bodyBudget.heldBytes).toBe(0);
  });
});

describe('strict JSON', () => {
  const refused = (text: string) =>
    expect(() => parseStrictJson(text), text.slice(0, 60)).toThrow(/not valid JSON/);

  it('passes everything that is usual', () => {
    for (const text of [
      '{"a":[1,2.5e3,true,null,"\\"]}{["],"b":{"c":"\\\\"}}',
      '"\\ud83d\\ude00"',
      '[]',
      '0',
      `${'['.repeat(32)}${']'.repeat(32)}`,
    ]) {
      expect(parseStrictJson(text)).toEqual(JSON.parse(text));
    }
  });

  it('bounds depth, keys and objects before anything is built', () => {
    refused('['.repeat(33) + ']'.repeat(33));
    refused('['.repeat(14 * MIB));
    refused('{"a":'.repeat(33));
    refused(`{${Array.from({ length: 10_001 }, (_, i) => `"${i}":0`).join()}}`);
    refused(`[${'{},'.repeat(20_001)}0]`);
    refused(`[${'0,'.repeat(5 * MIB)}0]`);
  });

  it('refuses keys that reach for a prototype, however they are spelled and wherever they are', () => {
    for (const key of ['__proto__', 'constructor', 'prototype', '\\u005f_proto__']) {
      refused(`{"${key}":1}`);
      refused(`[{"a":[{"${key}":{}}]}]`);
    }
    expect(parseStrictJson('["__proto__"]')).toEqual(['__proto__']);
  });

  it('refuses text that is not well-formed', () => {
    refused('"\\ud800"');
    refused('{"\\udc00":1}');
    refused('["a",{"b":["\\ud83dx"]}]');
  });

  it('never quotes the input', () => {
    for (const text of ['secret', '{"secret":secret}', '{"__proto__":"secret"}']) {
      try {
        parseStrictJson(text);
        expect.unreachable();
      } catch (error) {
        expect(String(error)).not.toContain('secret');
      }
    }
  });
});

describe('the budget for bodies', () => {
  it('refuses what does not fit and takes it once there is room', () => {
    const budget = new BodyBudget();
    const first = budget.open(100);
    const second = budget.open(100);
    first.take(80);
    expect(() => second.take(30)).toThrow(/as many bytes in hand/);
    first.release();
    first.release();
    second.take(30);
    second.release();
    expect(budget.heldBytes).toBe(0);
  });

  it('gives the turn to one large body at a time, in the order they came', async () => {
    const budget = new BodyBudget();
    const order: string[] = [];
    const end = await budget.largeTurn();
    const waiting = ['a', 'b'].map(async (name) => {
      const endOwn = await budget.largeTurn();
      order.push(name);
      endOwn();
    });
    expect(order).toEqual([]);
    end();
    await Promise.all(waiting);
    expect(order).toEqual(['a', 'b']);
  });

  it('lets only so many wait', async () => {
    const budget = new BodyBudget();
    const end = await budget.largeTurn();
    const waiting = Array.from({ length: 65 }, async () => (await budget.largeTurn())());
    end();
    const results = await Promise.allSettled(waiting);
    expect(results.filter((result) => result.status === 'rejected')).toHaveLength(1);
  });
});
