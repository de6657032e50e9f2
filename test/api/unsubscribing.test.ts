/** The links by which readers end their mail, choose it, and begin again. */
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { newId } from '../../src/ids.ts';
import {
  call,
  callsOf,
  createAccount,
  type JsonObject,
  jsonOf,
  letSend,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';
import { dryRunHeader, unsubscribePath } from '../support/reader-links.ts';
import { RAW } from '../support/statement-tap.ts';

const email = { from: 'news@unsub.example', subject: 'News', text: 'News' };
const ONE_CLICK = {
  method: 'POST',
  body: 'List-Unsubscribe=One-Click',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
};

let account: TestAccount;
let topic: string;

const { ask, made } = callsOf(() => account);
const form = (fields: readonly (readonly [string, string])[]) => ({
  ...ONE_CLICK,
  body: new URLSearchParams(fields.map(([name, value]) => [name, value])).toString(),
});

async function topicsOf(contact: string): Promise<Record<string, string>> {
  const { body } = await ask(`/v1/contacts/${contact}/topics?limit=100`);
  const rows = body.data as readonly { id: string; subscription: string }[];
  return Object.fromEntries(rows.map(({ id, subscription }) => [id, subscription]));
}

async function audits(): Promise<string[]> {
  const { results } = await env.DB.prepare(
    `${RAW} SELECT actor || ' ' || action AS it FROM audit_log WHERE account_id = ?1 ORDER BY created_at, id`,
  )
    .bind(account.id)
    .all<{ it: string }>();
  return results.map(({ it }) => it);
}

async function lastEvent(type: string): Promise<JsonObject | undefined> {
  const { body } = await ask('/v1/events?limit=100');
  const events = body.data as readonly { type: string; data: JsonObject }[];
  return events.findLast((event) => event.type === type)?.data;
}

/** Everything that the account shows of its readers. */
async function everything(): Promise<unknown> {
  const tables = ['contacts', 'contact_topics', 'suppressions', 'list_members', 'audit_log'];
  const rows = await Promise.all(
    tables.map((table) => env.DB.prepare(`${RAW} SELECT * FROM ${table} ORDER BY 1, 2`).raw()),
  );
  return JSON.stringify(rows);
}

beforeAll(async () => {
  account = await createAccount();
  await letSend(account, 'unsub.example', inject('smtpPort'));
  topic = await made('/v1/topics', { name: 'Offers', default_subscription: 'opt_in', visibility: 'public' });
});

describe('mail about a topic', () => {
  it('has the header fields of RFC 8058, and the address is not readable in them', async () => {
    const header = await dryRunHeader(account, {
      ...email,
      to: 'Reader <reader@example.com>',
      topic_id: topic,
    });
    expect(header).toMatch(
      /^List-Unsubscribe: <https:\/\/relay\.test\/u\/acc_[0-9a-z]{26}\.[A-Za-z0-9_-]+>$/m,
    );
    expect(header).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click$/m);
    const token = /\/u\/([^>]+)>/.exec(header)?.[1] ?? '';
    expect(token + Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('latin1')).not.toContain(
      'reader',
    );
    expect(header.split('\r\n').filter((line) => /^list-unsubscribe/i.test(line))).toHaveLength(2);
  });

  it('goes to one recipient, and its sender does not write these fields himself', async () => {
    for (const [field, change] of [
      ['topic_id', { to: ['a@example.com', 'b@example.com'] }],
      ['topic_id', { to: 'a@example.com', cc: 'b@example.com' }],
      ['topic_id', { to: 'a@example.com', bcc: 'b@example.com' }],
      ['topic_id', { to: ['a@example.com', 'not an address'] }],
      ['topic_id', { to: 'a@example.com', topic_id: newId('topic') }],
      ['topic_id', { to: 'a@example.com', topic_id: 'Offers' }],
      ['topic_id', { to: 'a@example.com', topic_id: '' }],
      ['headers', { to: 'a@example.com', headers: { 'list-unsubscribe': '<https://a.example/>' } }],
    ] as const) {
      for (const path of ['/v1/emails', '/v1/emails?dry_run=true']) {
        const answer = await ask(path, { ...email, topic_id: topic, ...change });
        expect([answer.status, answer.body.message]).toEqual([422, expect.stringContaining(`\`${field}\``)]);
      }
      const batch = await ask('/v1/emails/batch', [
        { ...email, to: 'a@example.com' },
        { ...email, topic_id: topic, ...change },
      ]);
      expect([batch.status, batch.body.message]).toEqual([422, expect.stringContaining(`\`[1].${field}\``)]);
    }
    const permissive = await call('/v1/emails/batch', {
      key: account.key,
      headers: { 'x-batch-validation': 'permissive' },
      body: [
        { ...email, to: 'a@example.com', topic_id: topic },
        { ...email, to: 'a@example.com', topic_id: newId('topic') },
      ],
    });
    expect(await jsonOf(permissive)).toMatchObject({
      data: [{}],
      errors: [{ index: 1, code: 'invalid_field' }],
    });
  });

  it('is shown with its topic, and is the same request when it is repeated', async () => {
    const body = { ...email, to: 'again@example.com', topic_id: topic, scheduled_at: 'in 1 day' };
    const headers = { 'idempotency-key': 'about a topic' };
    const answers: string[] = [];
    for (let time = 0; time < 2; time++) {
      const response = await call('/v1/emails', { key: account.key, headers, body });
      expect(response.status).toBe(200);
      answers.push(textAt(await jsonOf(response), 'id'));
      // The link of the second one would name a contact.
      if (time === 0) await made('/v1/contacts', { email: 'again@example.com' });
    }
    expect(answers[0]).toBe(answers[1]);
    expect((await ask(`/v1/emails/${answers[0]}`)).body).toMatchObject({ topic_id: topic });
    const other = await call('/v1/emails', { key: account.key, headers, body: { ...body, topic_id: null } });
    expect(other.status).toBe(409);
  });
});

describe('one click of a mail program', () => {
  it('ends the topic for a contact, and not the rest, and can be taken back', async () => {
    const contact = await made('/v1/contacts', { email: 'one@example.com' });
    const path = await unsubscribePath(account, { ...email, to: 'one@example.com', topic_id: topic });
    const response = await call(path, ONE_CLICK);
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      'text/html; charset=UTF-8',
    ]);
    expect((await topicsOf(contact))[topic]).toBe('opt_out');
    expect((await ask(`/v1/contacts/${contact}`)).body).toMatchObject({ unsubscribed: false });
    expect((await audits()).at(-1)).toBe('recipient contact.topics_updated');
    const choice = { email: 'one@example.com', topics: [{ id: topic, subscription: 'opt_out' }] };
    expect(await lastEvent('contact.topics.updated')).toMatchObject(choice);
    // Once more: nothing is left to do.
    const before = await everything();
    expect((await call(path, ONE_CLICK)).status).toBe(200);
    expect(await everything()).toBe(before);
    expect((await call(`${path}/undo`, { method: 'POST' })).status).toBe(200);
    expect((await topicsOf(contact))[topic]).toBe('opt_in');
  });

  it.each([
    [
      'multipart',
      'multipart/form-data; boundary=x',
      '--x\r\ncontent-disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
    ],
    ['JSON', 'application/json', '{}'],
    ['nothing', 'text/plain', ''],
  ])('is understood in any form: %s', async (name, type, body) => {
    const address = `${name.toLowerCase()}@example.com`;
    const contact = await made('/v1/contacts', { email: address });
    const path = await unsubscribePath(account, { ...email, to: address, topic_id: topic });
    const response = await call(path, { method: 'POST', body, headers: { 'content-type': type } });
    expect([response.status, (await topicsOf(contact))[topic]]).toEqual([200, 'opt_out']);
  });

  it('finds a contact who became one since, and suppresses an address that the contact gave up', async () => {
    const moved = await made('/v1/contacts', { email: 'before@example.com' });
    const path = await unsubscribePath(account, { ...email, to: 'before@example.com', topic_id: topic });
    await ask(`/v1/contacts/${moved}`, { email: 'after@example.com' }, 'PATCH');
    const preferences = path.replace('/u/', '/preferences/');
    expect(await (await call(preferences)).text()).not.toContain('checkbox');
    await call(path, ONE_CLICK);
    await call(preferences, form([['do', 'end']]));
    expect((await topicsOf(moved))[topic]).toBe('opt_in');
    expect((await ask(`/v1/contacts/${moved}`)).body).toMatchObject({ unsubscribed: false });
    const [gone, kept] = [await ask('/v1/suppressions/before@example.com'), 'after@example.com'];
    expect(gone.body).toMatchObject({ origin: 'unsubscribe', email: 'before@example.com' });
    expect((await ask(`/v1/suppressions/${kept}`)).status).toBe(404);
    const early = await unsubscribePath(account, { ...email, to: 'Later@example.com', topic_id: topic });
    const later = await made('/v1/contacts', { email: 'later@example.com' });
    await call(early, ONE_CLICK);
    expect((await topicsOf(later))[topic]).toBe('opt_out');
  });

  it('suppresses the address of somebody who is no contact, and only that is taken back', async () => {
    const path = await unsubscribePath(account, { ...email, to: 'stranger@example.com', topic_id: topic });
    await call(path, ONE_CLICK);
    const found = await ask('/v1/suppressions/stranger@example.com');
    expect(found.body).toMatchObject({ origin: 'unsubscribe', source_id: expect.stringMatching(/^msg_/) });
    expect(await lastEvent('suppression.added')).toMatchObject({
      email: 'stranger@example.com',
      origin: 'unsubscribe',
    });
    await call(`${path}/undo`, { method: 'POST' });
    expect((await ask('/v1/suppressions/stranger@example.com')).status).toBe(404);
    await made('/v1/suppressions', { email: 'stranger@example.com' });
    for (const act of [path, `${path}/undo`]) await call(act, ONE_CLICK);
    expect((await ask('/v1/suppressions/stranger@example.com')).body).toMatchObject({ origin: 'manual' });
  });

  it('suppresses by the hash alone who was erased', async () => {
    const contact = await made('/v1/contacts', { email: 'erased@example.com' });
    const path = await unsubscribePath(account, { ...email, to: 'erased@example.com', topic_id: topic });
    await ask(`/v1/contacts/${contact}`, undefined, 'DELETE');
    await call(path, ONE_CLICK);
    const found = await ask('/v1/suppressions/erased@example.com');
    expect(found.body).toMatchObject({ origin: 'unsubscribe', email: null });
  });

  it('ends everything where the topic is gone', async () => {
    const contact = await made('/v1/contacts', { email: 'orphan@example.com' });
    const short = await made('/v1/topics', { name: 'Short', default_subscription: 'opt_in' });
    const path = await unsubscribePath(account, { ...email, to: 'orphan@example.com', topic_id: short });
    await ask(`/v1/topics/${short}`, undefined, 'DELETE');
    await call(path, ONE_CLICK);
    expect((await ask(`/v1/contacts/${contact}`)).body).toMatchObject({ unsubscribed: true });
    expect(await lastEvent('contact.updated')).toMatchObject({
      email: 'orphan@example.com',
      unsubscribed: true,
    });
  });
});

describe('the page of a link', () => {
  it('is shown by GET and HEAD, which change nothing, and names the topic', async () => {
    const contact = await made('/v1/contacts', { email: 'page@example.com' });
    const path = await unsubscribePath(account, { ...email, to: 'page@example.com', topic_id: topic });
    const before = await everything();
    for (const shown of [path, path.replace('/u/', '/preferences/')]) {
      for (const method of ['GET', 'HEAD']) {
        const response = await call(shown, { method });
        expect(response.status).toBe(200);
        const text = await response.text();
        if (method === 'GET') expect(text).toContain('Offers');
        expect(text).not.toContain('example.com');
      }
    }
    expect(await everything()).toBe(before);
    expect((await topicsOf(contact))[topic]).toBe('opt_in');
  });

  it('may load nothing, run nothing, and is told to nobody', async () => {
    const path = await unsubscribePath(account, { ...email, to: 'page@example.com', topic_id: topic });
    for (const [shown, init] of [
      [path, {}],
      [path, ONE_CLICK],
      [`${path}/undo`, ONE_CLICK],
      [path.replace('/u/', '/preferences/'), {}],
      ['/u/wrong', {}],
      ['/join/wrong', {}],
    ] as const) {
      const response = await call(shown, init);
      const text = await response.text();
      expect(response.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
      );
      const named = [
        'referrer-policy',
        'x-robots-tag',
        'cache-control',
        'x-content-type-options',
        'vary',
        'content-language',
      ];
      expect(named.map((name) => response.headers.get(name))).toEqual([
        'no-referrer',
        'noindex',
        'no-store',
        'nosniff',
        'accept-language',
        'en',
      ]);
      expect(text).toMatch(/<html lang="en">/);
      expect(text).not.toMatch(/<script|<img|<link|\son\w+=|style=|https?:/i);
    }
  });

  it.each([
    ['de-CH,de;q=0.9,en;q=0.5', 'de', 'Abmelden'],
    ['fr;q=0.8, it', 'fr', 'Se désabonner'],
    ['es-MX', 'es', 'Darse de baja'],
    ['ja', 'en', 'Unsubscribe'],
  ])('is in the language of the reader: %s', async (accepted, language, button) => {
    const path = await unsubscribePath(account, { ...email, to: 'lingua@example.com', topic_id: topic });
    const response = await call(path, { headers: { 'accept-language': accepted } });
    const text = await response.text();
    expect(response.headers.get('content-language')).toBe(language);
    expect(text).toContain(`<html lang="${language}">`);
    expect(text).toContain(`<button type="submit">${button}</button>`);
  });

  it('answers a POST with any link alike, so that nobody learns who is there', async () => {
    await made('/v1/contacts', { email: 'known@example.com' });
    const known = await unsubscribePath(account, { ...email, to: 'known@example.com', topic_id: topic });
    const unknown = await unsubscribePath(account, { ...email, to: 'unknown@example.com', topic_id: topic });
    const tampered = `${known.slice(0, -4)}AAAA`;
    const nobody = known.replace(account.id, newId('account'));
    const answers = await Promise.all(
      [known, unknown, tampered, nobody, '/u/wrong'].map(async (path) => {
        const response = await call(path, ONE_CLICK);
        const headers = [...response.headers].filter(([name]) => name !== 'x-request-id').sort();
        const text = await response.text();
        return JSON.stringify([
          response.status,
          headers,
          text.replaceAll(path.slice('/u/'.length), '(token)'),
        ]);
      }),
    );
    expect(new Set(answers).size).toBe(1);
    const pages = await Promise.all(
      [tampered, nobody, '/u/wrong'].map(async (path) => {
        const response = await call(path);
        return `${response.status} ${await response.text()}`;
      }),
    );
    expect(new Set(pages).size).toBe(1);
    expect(pages[0]).toMatch(/^400 /);
  });

  it("takes no link of another account, nor one with another's name on it", async () => {
    const other = await createAccount();
    const path = await unsubscribePath(account, { ...email, to: 'mine@example.com', topic_id: topic });
    const before = await everything();
    await call(path.replace(account.id, other.id), ONE_CLICK);
    for (const act of ['/u/', '/preferences/', '/join/']) {
      const response = await call(
        path.replace('/u/', act).replace(account.id, other.id),
        form([['do', 'end']]),
      );
      expect(response.status).toBe(act === '/u/' ? 200 : 400);
    }
    expect(await everything()).toBe(before);
  });

  it.each([
    '%22%3E%3Cscript%3Ealert(1)%3C/script%3E',
    "'%20onmouseover='alert(1)",
    '%3Cimg%20src=x%20onerror=alert(1)%3E',
    'javascript:alert(1)',
    '%2e%2e%2f%2e%2e%2fv1',
    '%00',
    '%0d%0aset-cookie:%20a=b',
    '%E2%80%AE',
    '%ff',
    'acc_00000000000000000000000000.AAAA',
    `acc_${'0'.repeat(26)}.${'A'.repeat(60)}`,
    'A'.repeat(5000),
    '..;/',
    '%F0%9F%92%A9',
  ])('is safe with a hostile token: %s', async (token) => {
    for (const [path, method] of [
      [`/u/${token}`, 'GET'],
      [`/u/${token}`, 'POST'],
      [`/u/${token}/undo`, 'POST'],
      [`/preferences/${token}`, 'GET'],
      [`/preferences/${token}`, 'POST'],
      [`/join/${token}`, 'GET'],
      [`/join/${token}`, 'POST'],
    ] as const) {
      const response = await call(path, { method });
      const text = await response.text();
      expect([200, 400, 404, 405]).toContain(response.status);
      expect(response.headers.get('set-cookie')).toBeNull();
      expect(text).not.toMatch(/<script|<img|\sonerror|\sonmouseover|href="javascript|action="javascript/i);
      const targets = [...text.matchAll(/(?:action|href)="([^"]*)"/g)].map(([, target]) => target);
      for (const target of targets)
        expect(target).toMatch(/^\/(?:u|preferences|join)\/(?:[A-Za-z0-9_.%()*~!-]|&#39;)+(?:\/undo)?$/);
    }
  });
});

describe('the page of preferences', () => {
  const preferences = async (to: string) =>
    (await unsubscribePath(account, { ...email, to, topic_id: topic })).replace('/u/', '/preferences/');

  it('shows the public topics as they are for the contact, and saves what is chosen', async () => {
    const quiet = await made('/v1/topics', {
      name: 'Quiet',
      default_subscription: 'opt_out',
      visibility: 'public',
      description: 'Now & then',
    });
    const secret = await made('/v1/topics', {
      name: 'Internal',
      default_subscription: 'opt_in',
      visibility: 'private',
    });
    const contact = await made('/v1/contacts', { email: 'chooser@example.com' });
    const path = await preferences('chooser@example.com');
    const page = await (await call(path)).text();
    const boxes = [...page.matchAll(/<input type="checkbox"[^>]* value="([^"]+)"[^>]*>/g)];
    const checked = new Map(boxes.map(([box, id]) => [id, / checked/.test(box)]));
    expect([checked.get(topic), checked.get(quiet), checked.has(secret)]).toEqual([true, false, false]);
    expect(page).toContain('Now &amp; then');
    expect(page).not.toContain('Internal');
    // A topic that he was not shown is not his to lose, nor one that is not public.
    const fields = [
      ['do', 'save'],
      ['shown', topic],
      ['shown', quiet],
      ['topic', quiet],
      ['shown', secret],
    ] as const;
    const saved = await (await call(path, form(fields))).text();
    expect(saved).toContain('role="status"');
    expect(await topicsOf(contact)).toMatchObject({
      [topic]: 'opt_out',
      [quiet]: 'opt_in',
      [secret]: 'opt_in',
    });
    await call(
      path,
      form([
        ['do', 'save'],
        ['shown', topic],
        ['topic', topic],
      ]),
    );
    expect(await topicsOf(contact)).toMatchObject({ [topic]: 'opt_in', [quiet]: 'opt_in' });
  });

  it('ends everything, and begins again with what is chosen', async () => {
    const contact = await made('/v1/contacts', { email: 'all@example.com' });
    const path = await preferences('all@example.com');
    const ended = await (await call(path, form([['do', 'end']]))).text();
    expect(ended).toContain('You are unsubscribed from everything');
    expect((await ask(`/v1/contacts/${contact}`)).body).toMatchObject({ unsubscribed: true });
    expect((await audits()).at(-1)).toBe('recipient contact.updated');
    // By the link of one topic he does not get back the others.
    const undone = await call(`${path.replace('/preferences/', '/u/')}/undo`, { method: 'POST' });
    expect(await undone.text()).toContain('You are unsubscribed from everything');
    expect((await ask(`/v1/contacts/${contact}`)).body).toMatchObject({ unsubscribed: true });
    await call(
      path,
      form([
        ['do', 'save'],
        ['shown', topic],
        ['topic', topic],
      ]),
    );
    expect((await ask(`/v1/contacts/${contact}`)).body).toMatchObject({ unsubscribed: false });
  });

  it('changes nothing by a form that says nothing', async () => {
    await made('/v1/contacts', { email: 'silent@example.com' });
    const path = await preferences('silent@example.com');
    const before = await everything();
    for (const fields of [[], [['do', 'other']], [['topic', topic]]] as [string, string][][]) {
      expect((await call(path, form(fields))).status).toBe(200);
    }
    const tooLarge = form([
      ['do', 'save'],
      ['x', 'y'.repeat(9000)],
    ]);
    await call(path, tooLarge);
    expect(await everything()).toBe(before);
  });

  it('offers somebody who is no contact to end everything', async () => {
    const path = await preferences('nobody@example.com');
    expect(await (await call(path)).text()).not.toContain('checkbox');
    const page = await (await call(path, form([['do', 'end']]))).text();
    expect(page).toContain('Save and subscribe again');
    expect((await ask('/v1/suppressions/nobody@example.com')).body).toMatchObject({ origin: 'unsubscribe' });
    await call(path, form([['do', 'save']]));
    expect((await ask('/v1/suppressions/nobody@example.com')).status).toBe(404);
  });

  it.each([
    '"><script>alert(1)</script>',
    "'-alert(1)-'",
    '<img src=x onerror=alert(1)>',
    '</title><svg onload=alert(1)>',
    '&lt;b&gt;',
    '\u202egnp.exe',
    '<!--',
    '{{constructor}}',
  ])('shows the name of a topic as it is: %s', async (name) => {
    const owner = await createAccount();
    await letSend(owner, 'xss.example', inject('smtpPort'));
    const create = (path: string, body: unknown) => call(path, { key: owner.key, body }).then(jsonOf);
    const topics = { default_subscription: 'opt_in', visibility: 'public', description: name.slice(0, 40) };
    const id = textAt(await create('/v1/topics', { name, ...topics }), 'id');
    await create('/v1/contacts', { email: 'victim@example.com' });
    const mail = { from: 'a@xss.example', to: 'victim@example.com', subject: 'x', text: 'x', topic_id: id };
    const path = await unsubscribePath(owner, mail);
    const escaped = name.replace(
      /[&<>"']/g,
      (one) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": '#39' }[one]};`,
    );
    for (const shown of [path, path.replace('/u/', '/preferences/')]) {
      const text = await (await call(shown)).text();
      expect(text).toContain(escaped);
      expect(text).not.toMatch(/<script|<img|<svg|<!--(?! )/);
    }
  });
});
