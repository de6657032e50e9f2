/**
 * Every registered route, called by one account with the ids of another. The answer must be byte for byte
 * that for an id which does not exist, after the same statements. A route without a case fails the suite.
 */
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { app } from '../../src/app.ts';
import { type IdKind, newId, newMessageId } from '../../src/ids.ts';
import { importedBy, importOf, postImport } from '../support/contact-import.ts';
import {
  call,
  callAsOperator,
  createAccount,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';
import { seenStatements } from '../support/statement-tap.ts';

type Case =
  /** The first `:id` of the path is of this kind; a second one is a number. */
  | { readonly kind: 'object'; readonly id: IdKind; readonly body?: unknown; readonly also?: IdKind }
  /** The same, where what is not there counts as deleted already. */
  | { readonly kind: 'gone'; readonly id: IdKind; readonly also?: IdKind }
  /** Answers only what the account owns. */
  | { readonly kind: 'list'; readonly of: IdKind; readonly query?: undefined }
  /** The same, and knows no pages. */
  | { readonly kind: 'list'; readonly of: IdKind; readonly query: string }
  /** Answers what happened to the account's own mail, from a cursor on: see its test below. */
  | { readonly kind: 'log' }
  /** Takes an id in its body, or none at all: see the tests of their own below. */
  | { readonly kind: 'body' }
  /** Is about the account of the key itself. */
  | { readonly kind: 'self'; readonly body?: unknown }
  /** Needs the operator token, which is above accounts. */
  | { readonly kind: 'operator' }
  | { readonly kind: 'public' };

const CASES: Record<string, Case> = {
  'GET /health': { kind: 'public' },
  'GET /confirm': { kind: 'public' },
  'POST /confirm': { kind: 'public' },
  'GET /u/:id': { kind: 'public' },
  'POST /u/:id': { kind: 'public' },
  'POST /u/:id/undo': { kind: 'public' },
  'GET /preferences/:id': { kind: 'public' },
  'POST /preferences/:id': { kind: 'public' },
  'GET /join/:id': { kind: 'public' },
  'POST /join/:id': { kind: 'public' },
  'POST /v1/accounts': { kind: 'public' },
  'POST /v1/account/resend-confirmation': { kind: 'body' },
  'POST /v1/admin/invites': { kind: 'operator' },
  'GET /v1/admin/invites': { kind: 'operator' },
  'DELETE /v1/admin/invites/:id': { kind: 'operator' },
  'GET /v1/account': { kind: 'self' },
  'PATCH /v1/account': { kind: 'self', body: { name: 'Taken over', in_doubt_policy: 'hold' } },
  'POST /v1/admin/master-key/rewrap': { kind: 'operator' },
  'POST /v1/admin/accounts': { kind: 'operator' },
  'GET /v1/admin/accounts': { kind: 'operator' },
  'GET /v1/admin/accounts/:id': { kind: 'operator' },
  'PATCH /v1/admin/accounts/:id': { kind: 'operator' },
  'POST /v1/admin/accounts/:id/suspend': { kind: 'operator' },
  'POST /v1/admin/accounts/:id/resume': { kind: 'operator' },
  'POST /v1/admin/accounts/:id/close': { kind: 'operator' },
  'PUT /v1/admin/accounts/:id/domains/:id': { kind: 'operator' },
  'POST /v1/admin/accounts/:id/api-keys': { kind: 'operator' },
  'POST /v1/api-keys': { kind: 'body' },
  'GET /v1/api-keys': { kind: 'list', of: 'apiKey' },
  'GET /v1/api-keys/:id': { kind: 'object', id: 'apiKey' },
  'POST /v1/api-keys/:id/rotate': { kind: 'object', id: 'apiKey', body: { overlap_hours: 0 } },
  'PATCH /v1/api-keys/:id': { kind: 'object', id: 'apiKey', body: { name: 'Taken over' } },
  'DELETE /v1/api-keys/:id': { kind: 'object', id: 'apiKey' },
  'POST /v1/domains': { kind: 'body' },
  'GET /v1/domains': { kind: 'list', of: 'domain' },
  'GET /v1/domains/:id': { kind: 'object', id: 'domain' },
  'DELETE /v1/domains/:id': { kind: 'object', id: 'domain' },
  'POST /v1/emails': { kind: 'body' },
  'POST /v1/emails/batch': { kind: 'body' },
  'POST /v1/emails/raw': { kind: 'body' },
  'GET /v1/emails': { kind: 'list', of: 'message' },
  'GET /v1/emails/:id': { kind: 'object', id: 'message' },
  'GET /v1/emails/:id/raw': { kind: 'object', id: 'message' },
  'GET /v1/emails/export': { kind: 'list', of: 'message', query: 'format=jsonl' },
  'GET /v1/emails/:id/attachments': { kind: 'object', id: 'message' },
  'GET /v1/emails/:id/attachments/:id': { kind: 'object', id: 'message' },
  'GET /attachments/:id': { kind: 'public' },
  'PATCH /v1/emails/:id': { kind: 'object', id: 'message', body: { scheduled_at: 'in 1 hour' } },
  'POST /v1/emails/:id/cancel': { kind: 'object', id: 'message' },
  'POST /v1/emails/:id/deliveries/:id/resolve': {
    kind: 'object',
    id: 'message',
    body: { resolution: 'resend' },
  },
  'GET /v1/events': { kind: 'log' },
  'POST /v1/relays': { kind: 'body' },
  'GET /v1/relays': { kind: 'list', of: 'relay' },
  'GET /v1/relays/:id': { kind: 'object', id: 'relay' },
  'PATCH /v1/relays/:id': { kind: 'object', id: 'relay', body: { name: 'Taken over', password: 'stolen' } },
  'DELETE /v1/relays/:id': { kind: 'object', id: 'relay' },
  'GET /v1/relays/:id/health': { kind: 'object', id: 'relay' },
  'POST /v1/relays/:id/verify': { kind: 'object', id: 'relay' },
  'POST /v1/webhooks': { kind: 'body' },
  'GET /v1/webhooks': { kind: 'list', of: 'webhook' },
  'GET /v1/webhooks/:id': { kind: 'object', id: 'webhook' },
  'PATCH /v1/webhooks/:id': { kind: 'object', id: 'webhook', body: { status: 'disabled' } },
  'DELETE /v1/webhooks/:id': { kind: 'object', id: 'webhook' },
  'POST /v1/webhooks/:id/signing-secret/rotate': { kind: 'object', id: 'webhook' },
  'POST /v1/webhooks/:id/test': { kind: 'object', id: 'webhook' },
  'POST /v1/webhooks/:id/replay': {
    kind: 'object',
    id: 'webhook',
    body: { since: '2026-01-01T00:00:00Z' },
  },
  'GET /v1/webhooks/:id/events': { kind: 'object', id: 'webhook' },
  'GET /v1/webhooks/:id/events/:id': { kind: 'object', id: 'webhook' },
  'POST /v1/webhooks/:id/events/:id/replay': { kind: 'object', id: 'webhook' },
  'GET /v1/webhooks/:id/events/:id/attempts': { kind: 'object', id: 'webhook' },
  'POST /v1/suppressions': { kind: 'body' },
  'POST /v1/suppressions/batch/add': { kind: 'body' },
  'POST /v1/suppressions/batch/remove': { kind: 'body' },
  'GET /v1/suppressions': { kind: 'list', of: 'suppression' },
  'GET /v1/suppressions/:id': { kind: 'object', id: 'suppression' },
  'DELETE /v1/suppressions/:id': { kind: 'object', id: 'suppression' },
  'POST /v1/lists': { kind: 'body' },
  'GET /v1/lists': { kind: 'list', of: 'list' },
  'GET /v1/lists/:id': { kind: 'object', id: 'list' },
  'PATCH /v1/lists/:id': { kind: 'object', id: 'list', body: { name: 'Taken over' } },
  'DELETE /v1/lists/:id': { kind: 'gone', id: 'list' },
  'GET /v1/lists/:id/contacts': { kind: 'object', id: 'list' },
  'POST /v1/segments': { kind: 'body' },
  'GET /v1/segments': { kind: 'list', of: 'list' },
  'GET /v1/segments/:id': { kind: 'object', id: 'list' },
  'PATCH /v1/segments/:id': { kind: 'object', id: 'list', body: { name: 'Taken over' } },
  'DELETE /v1/segments/:id': { kind: 'gone', id: 'list' },
  'GET /v1/segments/:id/contacts': { kind: 'object', id: 'list' },
  'POST /v1/audiences': { kind: 'body' },
  'GET /v1/audiences': { kind: 'list', of: 'list' },
  'GET /v1/audiences/:id': { kind: 'object', id: 'list' },
  'PATCH /v1/audiences/:id': { kind: 'object', id: 'list', body: { name: 'Taken over' } },
  'DELETE /v1/audiences/:id': { kind: 'gone', id: 'list' },
  'GET /v1/audiences/:id/contacts': { kind: 'object', id: 'list' },
  'POST /v1/audiences/:id/contacts': { kind: 'object', id: 'list', body: { email: 'a@example.com' } },
  'GET /v1/audiences/:id/contacts/:id': { kind: 'object', id: 'list', also: 'contact' },
  'PATCH /v1/audiences/:id/contacts/:id': {
    kind: 'object',
    id: 'list',
    also: 'contact',
    body: { unsubscribed: true },
  },
  'DELETE /v1/audiences/:id/contacts/:id': { kind: 'gone', id: 'list', also: 'contact' },
  'POST /v1/broadcasts': { kind: 'body' },
  'GET /v1/broadcasts': { kind: 'list', of: 'broadcast' },
  'GET /v1/broadcasts/:id': { kind: 'object', id: 'broadcast' },
  'PATCH /v1/broadcasts/:id': { kind: 'object', id: 'broadcast', body: { name: 'Taken over' } },
  'DELETE /v1/broadcasts/:id': { kind: 'object', id: 'broadcast' },
  'POST /v1/broadcasts/:id/send': { kind: 'object', id: 'broadcast' },
  'POST /v1/broadcasts/:id/cancel': { kind: 'object', id: 'broadcast' },
  'POST /v1/broadcasts/:id/pause': { kind: 'object', id: 'broadcast' },
  'POST /v1/broadcasts/:id/resume': { kind: 'object', id: 'broadcast' },
  'POST /v1/broadcasts/:id/duplicate': { kind: 'object', id: 'broadcast' },
  'POST /v1/broadcasts/:id/test': { kind: 'object', id: 'broadcast', body: { to: 'b@example.com' } },
  'GET /v1/broadcasts/:id/recipients': { kind: 'object', id: 'broadcast' },
  'POST /v1/contacts': { kind: 'body' },
  'GET /v1/contacts': { kind: 'list', of: 'contact' },
  'POST /v1/contacts/imports': { kind: 'body' },
  'GET /v1/contacts/imports': { kind: 'list', of: 'contactImport' },
  'GET /v1/contacts/imports/:id': { kind: 'object', id: 'contactImport' },
  'GET /v1/contacts/imports/:id/errors': { kind: 'object', id: 'contactImport' },
  'DELETE /v1/contacts/imports/:id': { kind: 'object', id: 'contactImport' },
  'GET /v1/contacts/export': { kind: 'list', of: 'contact', query: 'format=jsonl' },
  'GET /v1/contacts/:id': { kind: 'object', id: 'contact' },
  'PATCH /v1/contacts/:id': { kind: 'object', id: 'contact', body: { unsubscribed: true } },
  'DELETE /v1/contacts/:id': { kind: 'object', id: 'contact' },
  'GET /v1/contacts/:id/segments': { kind: 'object', id: 'contact' },
  'POST /v1/contacts/:id/segments/:id': { kind: 'object', id: 'contact', also: 'list' },
  'DELETE /v1/contacts/:id/segments/:id': { kind: 'object', id: 'contact', also: 'list' },
  'GET /v1/contacts/:id/topics': { kind: 'object', id: 'contact' },
  'PATCH /v1/contacts/:id/topics': { kind: 'object', id: 'contact', body: [] },
  'POST /v1/topics': { kind: 'body' },
  'GET /v1/topics': { kind: 'list', of: 'topic' },
  'GET /v1/topics/:id': { kind: 'object', id: 'topic' },
  'PATCH /v1/topics/:id': { kind: 'object', id: 'topic', body: { name: 'Taken over' } },
  'DELETE /v1/topics/:id': { kind: 'object', id: 'topic' },
  'POST /v1/contact-properties': { kind: 'body' },
  'GET /v1/contact-properties': { kind: 'list', of: 'contactProperty' },
  'GET /v1/contact-properties/:id': { kind: 'object', id: 'contactProperty' },
  'PATCH /v1/contact-properties/:id': {
    kind: 'object',
    id: 'contactProperty',
    body: { fallback_value: 'Taken over' },
  },
  'DELETE /v1/contact-properties/:id': { kind: 'object', id: 'contactProperty' },
  'POST /v1/templates': { kind: 'body' },
  'GET /v1/templates': { kind: 'list', of: 'template' },
  'GET /v1/templates/:id': { kind: 'object', id: 'template' },
  'PATCH /v1/templates/:id': { kind: 'object', id: 'template', body: { name: 'Taken over' } },
  'DELETE /v1/templates/:id': { kind: 'object', id: 'template' },
  'POST /v1/templates/:id/publish': { kind: 'object', id: 'template' },
  'POST /v1/templates/:id/duplicate': { kind: 'object', id: 'template' },
  'POST /v1/templates/:id/preview': { kind: 'object', id: 'template' },
  'POST /v1/templates/:id/test': { kind: 'object', id: 'template', body: { to: 'b@example.com' } },
};

/** `ALL` is middleware; validators and handlers of one route are listed one by one. */
const ROUTES = [
  ...new Set(
    app.routes
      .filter((route) => route.method !== 'ALL')
      .map((route) => `${route.method} ${route.path.replace(/:[^/]+/g, ':id')}`),
  ),
];

let owner: TestAccount;
let stranger: TestAccount;
const owned = new Map<IdKind, string>();

async function createdId(path: string, body: unknown, account: TestAccount): Promise<string> {
  const response = await call(path, { key: account.key, body });
  if (!response.ok) throw new Error(`${path} answered ${response.status} ${await response.text()}`);
  return textAt(await jsonOf(response), 'id');
}

function pathOf(pattern: string, id: string, second = '0'): string {
  return pattern.replace(':id', id).replace(':id', second);
}

async function everythingOf(account: TestAccount): Promise<string[]> {
  const lists = ROUTES.flatMap((route) => {
    const testCase = CASES[route];
    return testCase?.kind === 'list'
      ? [`${route.slice('GET '.length)}?${testCase.query ?? 'limit=100'}`]
      : [];
  });
  return Promise.all(lists.map(async (path) => (await call(path, { key: account.key })).text()));
}

/** Without what the account's own mail changes. */
async function accountOf(account: TestAccount): Promise<unknown> {
  const { statistics: _statistics, ...rest } = await jsonOf(await call('/v1/account', { key: account.key }));
  return rest;
}

/** The whole answer as text, without what differs in every request. */
async function fingerprint(response: Response): Promise<string> {
  const headers = [...response.headers].filter(([name]) => name !== 'x-request-id').sort();
  const body = (await response.text()).replace(/req_[0-9a-z]{26}/g, 'req_');
  return JSON.stringify([response.status, headers, body]);
}

beforeAll(async () => {
  owner = await createAccount('Owner');
  stranger = await createAccount('Stranger');
  owned.set('apiKey', owner.keyId);
  owned.set('domain', await createdId('/v1/domains', { name: 'owner.example' }, owner));
  const relay = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  owned.set('relay', await createdId('/v1/relays', relay, owner));
  owned.set('suppression', await createdId('/v1/suppressions', { email: 'gone@example.com' }, owner));
  const list = await createdId('/v1/lists', { name: 'Private' }, owner);
  owned.set('list', list);
  const topic = await createdId('/v1/topics', { name: 'Private', default_subscription: 'opt_in' }, owner);
  owned.set('topic', topic);
  const property = { key: 'private', type: 'string', is_filterable: true };
  owned.set('contactProperty', await createdId('/v1/contact-properties', property, owner));
  const contact = {
    email: 'member@example.com',
    properties: { private: 'x' },
    segments: [{ id: list }],
    topics: [{ id: topic, subscription: 'opt_out' }],
  };
  owned.set('contact', await createdId('/v1/contacts', contact, owner));
  const template = { name: 'Private', alias: 'private', html: '<p>Private</p>' };
  owned.set('template', await createdId('/v1/templates', template, owner));
  const broadcast = { from: 'a@owner.example', subject: 'Private', text: 'Private', list_id: list };
  owned.set('broadcast', await createdId('/v1/broadcasts', broadcast, owner));
  const imported = await importOf(owner, 'email\nmember@imported.example\n');
  await importedBy(owner, imported);
  owned.set('contactImport', imported);
  const webhook = { endpoint: 'http://127.0.0.1:9/hooks', backfill: false };
  owned.set('webhook', await createdId('/v1/webhooks', webhook, owner));
  await callAsOperator(`/v1/admin/accounts/${owner.id}/domains/owner.example`, { method: 'PUT', body: {} });
  if (ROUTES.includes('POST /v1/emails')) {
    const email = { from: 'a@owner.example', to: 'b@example.com', subject: 'Private', text: 'Private' };
    owned.set('message', await createdId('/v1/emails', email, owner));
  }
});

describe('isolation of accounts', () => {
  it('has a case for every route', () => {
    expect(ROUTES.length).toBeGreaterThan(20);
    expect(ROUTES.filter((route) => !CASES[route])).toEqual([]);
  });

  for (const route of ROUTES) {
    const testCase = CASES[route];
    const [method = '', pattern = ''] = route.split(' ');
    if (testCase?.kind === 'object' || testCase?.kind === 'gone') {
      it(`${route} answers for another account's id exactly as for a missing one`, async () => {
        const body = testCase.kind === 'object' ? testCase.body : undefined;
        const request = { method, key: stranger.key, body };
        const { also } = testCase;
        const missing = testCase.id === 'message' ? newMessageId(0) : newId(testCase.id);
        const others =
          also === undefined || also === 'message' ? ['0', '0'] : [owned.get(also) ?? '', newId(also)];
        const ask = async (index: 0 | 1) => {
          const id = index === 0 ? (owned.get(testCase.id) ?? '') : missing;
          const other = others[index] ?? '';
          const before = seenStatements().length;
          const answer = await fingerprint(await call(pathOf(pattern, id, other), request));
          const statements = seenStatements().slice(before);
          // What was deleted is named as it was given.
          const [named, at] = also === undefined ? [id, '(id)'] : [other, '(other id)'];
          return {
            answer: testCase.kind === 'gone' ? answer.replaceAll(named, at) : answer,
            statements: statements.map((statement) => statement.sql),
          };
        };
        const askBoth = async () => [await ask(0), await ask(1)];
        const isSame = (pair: { statements: string[] }[]) =>
          pair[0]?.statements.join() === pair[1]?.statements.join();
        const first = await askBoth();
        // What is remembered of key and account may run out between the two, but not twice in a row.
        const [foreign, unknown] = isSame(first) ? first : await askBoth();
        expect(first[0]?.answer).toBe(first[1]?.answer);
        expect(foreign?.answer).toMatch(testCase.kind === 'gone' ? /^\[200,/ : /^\[404,/);
        expect(foreign).toEqual(unknown);
      });
    }
    if (testCase?.kind === 'list') {
      it(`${route} shows nothing of another account, whatever the cursor`, async () => {
        const id = owned.get(testCase.of) ?? '';
        const { query: fixed } = testCase;
        const queries = fixed === undefined ? ['limit=100', `after=${id}`, `before=${id}`] : [fixed];
        expect(await (await call(`${pattern}?${queries[0]}`, { key: owner.key })).text()).toContain(id);
        for (const query of queries) {
          const response = await call(`${pattern}?${query}`, { key: stranger.key });
          expect(response.status).toBe(200);
          expect(await response.text()).not.toContain(id);
        }
      });
    }
    if (testCase?.kind === 'self') {
      it(`${route} is about the account of the key, and leaves every other as it is`, async () => {
        const ownerBefore = await accountOf(owner);
        const response = await call(pattern, { method, key: stranger.key, body: testCase.body });
        expect([response.status, textAt(await jsonOf(response), 'id')]).toEqual([200, stranger.id]);
        expect(await accountOf(owner)).toEqual(ownerBefore);
        expect(ownerBefore).toMatchObject({ id: owner.id, name: 'Owner', in_doubt_policy: 'retry' });
      });
    }
    if (testCase?.kind === 'operator') {
      it(`${route} refuses the key of an account`, async () => {
        const path = pattern.replace(':id', owner.id).replace(':id', 'owner.example');
        const response = await call(path, { method, key: owner.key });
        expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([
          403,
          'invalid_admin_token',
        ]);
      });
    }
    if (testCase && testCase.kind !== 'public') {
      it(`${route} refuses a request without a key`, async () => {
        const response = await call(pattern.replaceAll(':id', 'x'), { method });
        expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([401, 'missing_api_key']);
      });
    }
  }

  it('does not import into a list or a topic of another account, nor tell that it exists', async () => {
    for (const [field, kind] of [
      ['segments', 'list'],
      ['topics', 'topic'],
    ] as const) {
      const answers: string[] = [];
      for (const id of [owned.get(kind), newId(kind)]) {
        const choice = { id, ...(kind === 'topic' && { subscription: 'opt_in' }) };
        const fields = { [field]: JSON.stringify([choice]) };
        answers.push(await fingerprint(await postImport(stranger, 'email\na@example.com\n', fields)));
      }
      expect(answers[0]).toBe(answers[1]);
      expect(answers[0]).toMatch(/^\[422,/);
    }
  });

  it('GET /v1/events shows nothing of another account, whatever the cursor', async () => {
    const own = await call('/v1/events?limit=100', { key: owner.key });
    const { data, next } = await jsonOf(own);
    const event = (data as readonly { readonly id: string }[])[0]?.id ?? '';
    expect(event).toMatch(/^evt_/);
    const about = (await call('/v1/domains', { key: owner.key }).then((found) => found.text())).match(
      /dom_\w+/g,
    );
    for (const after of ['', `&after=${next}`, '&after=evc_000000000000000']) {
      const response = await call(`/v1/events?limit=100${after}`, { key: stranger.key });
      const text = await response.text();
      expect(response.status).toBe(200);
      for (const id of [owner.id, owned.get('message'), ...(about ?? [])]) expect(text).not.toContain(id);
    }
    // An event's id is a place in the log of its own account only.
    const answers: string[] = [];
    for (const id of [event, newId('event')]) {
      answers.push(await fingerprint(await call(`/v1/events?after=${id}`, { key: stranger.key })));
    }
    expect(answers[0]).toBe(answers[1]);
    expect(answers[0]).toMatch(/^\[422,/);
  });

  it("does not find another account's event at an own webhook", async () => {
    const { data } = await jsonOf(await call('/v1/events?limit=1', { key: owner.key }));
    const event = (data as readonly { readonly id: string }[])[0]?.id ?? '';
    const own = await createdId(
      '/v1/webhooks',
      { endpoint: 'http://127.0.0.1:9/', backfill: false },
      stranger,
    );
    for (const [method, suffix] of [
      ['GET', ''],
      ['POST', '/replay'],
      ['GET', '/attempts'],
    ] as const) {
      const answers: string[] = [];
      for (const id of [event, newId('event')]) {
        const path = `/v1/webhooks/${own}/events/${id}${suffix}`;
        answers.push(await fingerprint(await call(path, { method, key: stranger.key })));
      }
      expect(answers[0]).toBe(answers[1]);
      expect(answers[0]).toMatch(/^\[404,/);
    }
    const list = await call(`/v1/webhooks/${own}/events?after=${event}`, { key: stranger.key });
    expect(await jsonOf(list)).toMatchObject({ data: [] });
    await call(`/v1/webhooks/${own}`, { method: 'DELETE', key: stranger.key });
  });

  it.each([
    ['relay', 'relay'],
    ['topic_id', 'topic'],
  ] as const)(
    'does not send with the `%s` of another account, nor tell that it exists',
    async (field, kind) => {
      await callAsOperator(`/v1/admin/accounts/${stranger.id}/domains/stranger.example`, {
        method: 'PUT',
        body: {},
      });
      await createdId('/v1/relays', { host: 'smtp.stranger.example' }, stranger);
      const email = { from: 'a@stranger.example', to: 'b@example.com', subject: 'x', text: 'x' };
      const answers: string[] = [];
      const statements: string[][] = [];
      for (const named of [owned.get(kind), newId(kind), owned.get(kind)]) {
        for (const [path, body] of [
          ['/v1/emails', { ...email, [field]: named }],
          ['/v1/emails/batch', [email, { ...email, [field]: named }]],
        ] as const) {
          const before = seenStatements().length;
          answers.push(await fingerprint(await call(path, { key: stranger.key, body })));
          statements.push(
            seenStatements()
              .slice(before)
              .map(({ sql }) => sql),
          );
        }
      }
      // The first two fill the caches of the account.
      expect(answers.slice(2, 4)).toEqual(answers.slice(4, 6));
      expect(answers.slice(0, 2)).toEqual(answers.slice(2, 4));
      expect(statements.slice(2, 4)).toEqual(statements.slice(4, 6));
      expect(answers[0]).toMatch(new RegExp(`^\\[422,.*Invalid \`${field}\` field`));
      expect(answers[1]).toMatch(new RegExp(`^\\[422,.*Invalid \`\\[1\\]\\.${field}\` field`));
      const list = await call('/v1/emails', { key: stranger.key });
      expect(await jsonOf(list)).toMatchObject({ data: [] });
    },
  );

  it.each([
    ['list_id', 'list'],
    ['topic_id', 'topic'],
    ['template', 'template'],
  ] as const)('does not make a broadcast with the `%s` of another account', async (field, kind) => {
    const list = await createdId('/v1/lists', { name: 'Own' }, stranger);
    const answers: string[] = [];
    for (const id of [owned.get(kind), newId(kind)]) {
      const named = { [field]: kind === 'template' ? { id } : id };
      const text = kind === 'template' ? {} : { text: 'x' };
      const body = { from: 'a@stranger.example', subject: 'x', ...text, list_id: list, ...named };
      answers.push(await fingerprint(await call('/v1/broadcasts', { key: stranger.key, body })));
    }
    expect(answers[0]).toBe(answers[1]);
    expect(answers[0]).toMatch(new RegExp(`^\\[422,.*Invalid \`${field}`));
  });

  it('does not send raw mail through a relay or from a domain of another account', async () => {
    const raw = (from: string) => `From: a@${from}\r\nTo: b@example.com\r\n\r\nx\r\n`;
    const send = async (query: string, from = 'stranger.example') =>
      fingerprint(
        await call(`/v1/emails/raw${query}`, {
          key: stranger.key,
          body: raw(from),
          headers: { 'content-type': 'message/rfc822' },
        }),
      );
    const foreign = await send(`?relay=${owned.get('relay')}`);
    expect(foreign).toBe(await send(`?relay=${newId('relay')}`));
    expect(foreign).toMatch(/^\[422,.*Invalid `relay` field/);
    const domain = await send('', 'owner.example');
    expect(domain).toBe(await send('', 'nobody.example'));
    expect(domain).toMatch(/^\[403,/);
    expect(await send('?from=a@owner.example')).toBe(domain);
  });

  it('does not bind an API key to a domain of another account', async () => {
    const answers: string[] = [];
    for (const domainId of [owned.get('domain'), newId('domain')]) {
      const body = { name: 'x', permission: 'sending_access', domain_id: domainId };
      answers.push(await fingerprint(await call('/v1/api-keys', { key: stranger.key, body })));
    }
    expect(answers[0]).toBe(answers[1]);
    expect(answers[0]).toMatch(/^\[404,/);
  });

  it('does not put an own contact on a list of another account, nor let it choose about its topics', async () => {
    const own = { email: 'own@example.com' };
    const contact = await createdId('/v1/contacts', own, stranger);
    for (const [kind, requestOf] of [
      [
        'list',
        (id: string): [string, string, unknown] => [
          `/v1/contacts/${contact}/segments/${id}`,
          'POST',
          undefined,
        ],
      ],
      [
        'list',
        (id: string): [string, string, unknown] => [
          `/v1/contacts/${contact}/segments/${id}`,
          'DELETE',
          undefined,
        ],
      ],
      [
        'list',
        (id: string): [string, string, unknown] => ['/v1/contacts', 'POST', { ...own, segments: [{ id }] }],
      ],
      [
        'list',
        (id: string): [string, string, unknown] => ['/v1/contacts', 'POST', { ...own, audience_id: id }],
      ],
      [
        'list',
        (id: string): [string, string, unknown] => ['/v1/lists', 'POST', { name: 'x', filter: { list: id } }],
      ],
      [
        'topic',
        (id: string): [string, string, unknown] => [
          `/v1/contacts/${contact}/topics`,
          'PATCH',
          [{ id, subscription: 'opt_in' }],
        ],
      ],
      [
        'topic',
        (id: string): [string, string, unknown] => [
          '/v1/contacts',
          'POST',
          { ...own, topics: [{ id, subscription: 'opt_in' }] },
        ],
      ],
      [
        'topic',
        (id: string): [string, string, unknown] => [
          '/v1/lists',
          'POST',
          { name: 'x', filter: { topic: id, subscription: 'opt_in' } },
        ],
      ],
    ] as const) {
      const answers: string[] = [];
      for (const id of [owned.get(kind) ?? '', newId(kind)]) {
        const [path, method, body] = requestOf(id);
        answers.push(await fingerprint(await call(path, { key: stranger.key, method, body })));
      }
      expect(answers[0]).toBe(answers[1]);
      expect(answers[0]).toMatch(/^\[4(?:04|22),/);
    }
    const property = { name: 'x', filter: { property: 'private', equals: 'x' } };
    expect((await call('/v1/lists', { key: stranger.key, body: property })).status).toBe(422);
    await call(`/v1/contacts/${contact}`, { key: stranger.key, method: 'DELETE' });
  });

  it('does not find the address of a contact of another account', async () => {
    for (const path of ['member@example.com', 'member%40example.com']) {
      expect((await call(`/v1/contacts/${path}`, { key: stranger.key })).status).toBe(404);
    }
    for (const query of ['email=member@example.com', 'domain=example.com']) {
      expect(await jsonOf(await call(`/v1/contacts?${query}`, { key: owner.key }))).toMatchObject({
        data: [{ id: owned.get('contact') }],
      });
      expect(await jsonOf(await call(`/v1/contacts?${query}`, { key: stranger.key }))).toMatchObject({
        data: [],
      });
    }
    const missing = `/v1/contacts?segment_id=${owned.get('list')}`;
    expect((await call(missing, { key: stranger.key })).status).toBe(404);
  });

  it('does not tell that another account has a domain', async () => {
    const response = await call('/v1/domains', { key: stranger.key, body: { name: 'owner.example' } });
    expect(response.status).toBe(201);
    expect(textAt(await jsonOf(response), 'status')).toBe('pending');
  });

  it('leaves everything of an account as it was while another one tries all routes', async () => {
    const before = await everythingOf(owner);
    for (const route of ROUTES) {
      const testCase = CASES[route];
      if (testCase?.kind !== 'object' && testCase?.kind !== 'gone') continue;
      const [method = '', pattern = ''] = route.split(' ');
      const other = testCase.also && owned.get(testCase.also);
      const path = pathOf(pattern, owned.get(testCase.id) ?? '', other);
      const body = testCase.kind === 'object' ? testCase.body : undefined;
      await (await call(path, { method, key: stranger.key, body })).arrayBuffer();
    }
    expect(await everythingOf(owner)).toEqual(before);
  });

  it('has the database itself refuse a member, a choice or a value across accounts', async () => {
    const inserts = [
      `INSERT INTO list_members (account_id, list_id, contact_id, status, created_at) VALUES (?1, ?2, ?3, 'confirmed', 0)`,
      `INSERT INTO contact_topics (account_id, topic_id, contact_id, subscription, updated_at) VALUES (?1, ?2, ?3, 'opt_in', 0)`,
      `INSERT INTO contact_values (account_id, property_id, contact_id, value_hash) VALUES (?1, ?2, ?3, x'00')`,
    ];
    const contactOf = async (account: TestAccount) =>
      createdId('/v1/contacts', { email: 'cross@example.com' }, account);
    const [own, foreign] = [await contactOf(owner), await contactOf(stranger)];
    for (const [index, kind] of (['list', 'topic', 'contactProperty'] as const).entries()) {
      const insert = env.DB.prepare(`/* raw */ ${inserts[index]}`);
      const id = owned.get(kind);
      for (const [account, contact] of [
        [owner.id, foreign],
        [stranger.id, foreign],
        [stranger.id, own],
      ]) {
        await expect(insert.bind(account, id, contact).run()).rejects.toThrow(/FOREIGN KEY/);
      }
      await insert.bind(owner.id, id, own).run();
    }
    for (const [account, id] of [
      [owner, own],
      [stranger, foreign],
    ] as const) {
      await call(`/v1/contacts/${id}`, { key: account.key, method: 'DELETE' });
    }
  });

  it('has the database itself refuse a link between two accounts', async () => {
    const insert = env.DB.prepare(
      `/* raw */ INSERT INTO api_keys (account_id, id, name, hash, prefix, last_four, permission, domain_id, created_at)
       VALUES (?1, ?2, 'x', ?3, 'er_live', 'abcd', 'sending_access', ?4, 0)`,
    );
    const hash = crypto.getRandomValues(new Uint8Array(32));
    const domainId = owned.get('domain');
    await expect(insert.bind(stranger.id, newId('apiKey'), hash, domainId).run()).rejects.toThrow(
      /FOREIGN KEY/,
    );
    await insert.bind(owner.id, newId('apiKey'), hash, domainId).run();
    const orphan = env.DB.prepare(
      '/* raw */ INSERT INTO domains (account_id, id, name, status, created_at) VALUES (?, ?, ?, ?, 0)',
    );
    await expect(
      orphan.bind(newId('account'), newId('domain'), 'x.example', 'pending').run(),
    ).rejects.toThrow(/FOREIGN KEY/);
  });
});
