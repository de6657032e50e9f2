/** The bulk write behind imports, with several writers at once; and what becomes of everything when one is erased. */
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { contactInputOf } from '../../src/services/contact-input.ts';
import { listContacts } from '../../src/services/contact-pages.ts';
import { filterableIds, loadProperties } from '../../src/services/contact-properties.ts';
import { getContact, updateContact } from '../../src/services/contacts.ts';
import { operatorContext, type ServiceContext } from '../../src/services/service-context.ts';
import { type UpsertOptions, upsertContacts } from '../../src/services/upsert-contacts.ts';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';
import { RAW, seenStatements } from '../support/statement-tap.ts';

let account: TestAccount;
let context: ServiceContext;

type Given = { email: string; firstName?: string; properties?: Record<string, unknown> };

async function upsert(given: readonly Given[], options: Partial<UpsertOptions> = {}) {
  const properties = await loadProperties(context);
  const inputs = given.map((one) => contactInputOf(properties, one));
  return upsertContacts(context, inputs, {
    onConflict: 'upsert',
    filterable: filterableIds(properties),
    ...options,
  });
}

const made = async (path: string, body: unknown) =>
  textAt(await jsonOf(await call(path, { key: account.key, body })), 'id');
const rows = async (sql: string, ...values: unknown[]) =>
  (
    await env.DB.prepare(`${RAW} ${sql}`)
      .bind(...values)
      .all()
  ).results;
const hashesOf = async (id: string) =>
  rows('SELECT property_id, hex(value_hash) AS hash FROM contact_values WHERE contact_id = ?', id);

beforeAll(async () => {
  account = await createAccount();
  context = operatorContext(env as never, account.id, 'req_test');
  for (const key of ['plan', 'city']) {
    await made('/v1/contact-properties', { key, type: 'string', is_filterable: key === 'plan' });
  }
});

describe('many contacts at once', () => {
  it('are created, changed or left alone, each with its outcome in the order given', async () => {
    const list = await made('/v1/lists', { name: 'Imported' });
    const lists = [{ id: list, status: 'confirmed' as const }];
    const first = await upsert([{ email: 'a@example.com', firstName: 'A' }, { email: 'b@example.com' }], {
      lists,
    });
    expect(first.map(({ outcome }) => outcome)).toEqual(['created', 'created']);
    const next = [
      { email: 'B@example.com', firstName: 'B' },
      { email: 'c@example.com', firstName: 'C' },
      { email: 'c@EXAMPLE.com', properties: { city: 'Bern' } },
    ];
    const second = await upsert(next);
    expect(second.map(({ outcome }) => outcome)).toEqual(['updated', 'created', 'updated']);
    expect(second[0]?.id).toBe(first[1]?.id);
    expect(second[2]?.id).toBe(second[1]?.id);
    const both = await getContact(context, 'c@example.com');
    expect([both.firstName, Object.values(both.values)]).toEqual(['C', ['Bern']]);
    const skipped = await upsert(
      [{ email: 'a@example.com', firstName: 'X' }, { email: 'd@example.com' }, { email: 'd@example.com' }],
      { onConflict: 'skip', lists },
    );
    expect(skipped.map(({ outcome }) => outcome)).toEqual(['skipped', 'created', 'skipped']);
    expect((await getContact(context, 'a@example.com')).firstName).toBe('A');
    const { rows: members } = await listContacts(context, { listId: list, limit: 10 });
    expect(members.map(({ email }) => email).sort()).toEqual([
      'a@example.com',
      'b@example.com',
      'd@example.com',
    ]);
  });

  it('that are as given already are not written again', async () => {
    const given = Array.from({ length: 500 }, (_, index) => ({
      email: `same${index}@example.com`,
      properties: { plan: `p${index % 3}` },
    }));
    const before = await upsert(given);
    const times = 'SELECT id, updated_at FROM contacts WHERE account_id = ? ORDER BY id';
    const [known, audits] = [
      await rows(times, account.id),
      await rows('SELECT count(*) AS n FROM audit_log'),
    ];
    const after = await upsert(given);
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(new Set(after.map(({ outcome }) => outcome))).toEqual(new Set(['updated']));
    expect(await rows(times, account.id)).toEqual(known);
    expect(await rows('SELECT count(*) AS n FROM audit_log')).toEqual(audits);
  });

  it('may each be as large as a contact can be', async () => {
    await made('/v1/contact-properties', { key: 'note', type: 'string' });
    const keys = ['plan', 'city', 'note', 'note2', 'note3', 'note4'];
    for (const key of keys.slice(3)) await made('/v1/contact-properties', { key, type: 'string' });
    const properties = Object.fromEntries(keys.map((key) => [key, 'x'.repeat(2000)]));
    const given = Array.from({ length: 200 }, (_, index) => ({
      email: `large${index}@example.com`,
      properties,
    }));
    const outcomes = await upsert(given);
    expect(new Set(outcomes.map(({ id }) => id)).size).toBe(200);
    const whole = await getContact(context, 'large199@example.com');
    expect(Object.values(whole.values).join('')).toHaveLength(12_000);
    for (const key of ['note5', 'note6', 'note7'])
      await made('/v1/contact-properties', { key, type: 'string' });
    const more = { note5: 'x'.repeat(2000), note6: 'x'.repeat(2000), note7: 'x'.repeat(2000) };
    await expect(upsert([{ email: 'large0@example.com', properties: more }])).rejects.toThrow('16 KiB');
  });

  it('may have as many filterable values as there are properties', async () => {
    const keys = Array.from({ length: 40 }, (_, n) => `many${n}`);
    for (const key of keys)
      await made('/v1/contact-properties', { key, type: 'number', is_filterable: true });
    const given = (more: number) =>
      Array.from({ length: 500 }, (_, index) => ({
        email: `many${index}@example.com`,
        properties: Object.fromEntries(keys.map((key) => [key, index + more])),
      }));
    const before = seenStatements().length;
    for (const more of [0, 1]) expect(await upsert(given(more))).toHaveLength(500);
    const bound = seenStatements()
      .slice(before)
      .flatMap(({ values }) => values)
      .map((one) => (typeof one === 'string' ? one.length : 0));
    // What D1 takes, which it does not refuse here.
    expect(Math.max(...bound)).toBeLessThan(2_000_000);
    const { id } = await getContact(context, 'many499@example.com');
    expect(await hashesOf(id)).toHaveLength(keys.length);
  });

  it('written by several at the same moment are there once, with what each one said', async () => {
    const emails = Array.from({ length: 20 }, (_, index) => `race${index}@example.com`);
    const outcomes = await Promise.all([
      upsert(emails.map((email) => ({ email, firstName: 'First' }))),
      upsert(emails.map((email) => ({ email, properties: { city: 'Bern' } }))),
      upsert(emails.map((email) => ({ email, properties: { plan: 'gold' } }))),
    ]);
    for (const [index, email] of emails.entries()) {
      const contact = await getContact(context, email);
      expect(new Set(outcomes.map((one) => one[index]?.id))).toEqual(new Set([contact.id]));
      expect(contact.firstName).toBe('First');
      expect(Object.values(contact.values).sort()).toEqual(['Bern', 'gold']);
    }
  });

  it('keep the hashes of filterable values in step, whoever writes last', async () => {
    const [one] = await upsert([{ email: 'hash@example.com', properties: { plan: 'free', city: 'Bern' } }]);
    const id = one?.id ?? '';
    const [free] = await hashesOf(id);
    expect(await hashesOf(id)).toHaveLength(1);
    await upsert([{ email: 'hash@example.com', properties: { plan: 'gold' } }]);
    expect(await hashesOf(id)).not.toEqual([free]);
    const plans = ['gold', 'free', 'silver', 'free', 'gold'];
    await Promise.all(plans.map((plan) => updateContact(context, id, { properties: { plan } })));
    const now = Object.values((await getContact(context, id)).values);
    await upsert([
      { email: 'reference@example.com', properties: { plan: now[0] === 'Bern' ? now[1] : now[0] } },
    ]);
    const reference = await getContact(context, 'reference@example.com');
    expect(await hashesOf(id)).toEqual(await hashesOf(reference.id));
    await updateContact(context, id, { properties: { plan: null } });
    expect(await hashesOf(id)).toEqual([]);
  });
});

describe('a contact', () => {
  it('can get another address, but not that of somebody else', async () => {
    const [one] = await upsert([{ email: 'old@old.example' }, { email: 'taken@example.com' }]);
    const id = one?.id ?? '';
    expect(await updateContact(context, id, { email: 'New@new.example' })).toBe(id);
    const ids = async (query: object) =>
      (await listContacts(context, { ...query, limit: 5 })).rows.map((contact) => contact.id);
    expect(await ids({ email: 'old@old.example' })).toEqual([]);
    expect(await ids({ domain: 'old.example' })).toEqual([]);
    expect(await ids({ email: 'new@new.example' })).toEqual([id]);
    expect(await ids({ domain: 'new.example' })).toEqual([id]);
    await expect(updateContact(context, id, { email: 'taken@example.com' })).rejects.toThrow(
      'has that address',
    );
    expect((await getContact(context, id)).email).toBe('New@new.example');
  });

  it('that is erased leaves nothing but the hash of its suppression', async () => {
    const list = await made('/v1/lists', { name: 'L' });
    const topic = await made('/v1/topics', { name: 'T', default_subscription: 'opt_in' });
    const email = 'erased@gone.example';
    const body = { email, first_name: 'Gone', properties: { plan: 'gold' }, segments: [{ id: list }] };
    const id = await made('/v1/contacts', { ...body, topics: [{ id: topic, subscription: 'opt_out' }] });
    const suppression = await made('/v1/suppressions', { email });
    const entry = async (path: string) => jsonOf(await call(path, { key: account.key }));
    expect(await entry(`/v1/suppressions/${email}`)).toMatchObject({ id: suppression, email });
    await call(`/v1/contacts/${id}`, { key: account.key, method: 'DELETE' });
    for (const table of ['list_members', 'contact_topics', 'contact_values']) {
      expect(await rows(`SELECT * FROM ${table} WHERE contact_id = ?`, id)).toEqual([]);
    }
    expect(await entry(`/v1/suppressions/${email}`)).toMatchObject({ id: suppression, email: null });
    expect(await entry(`/v1/suppressions/${suppression}`)).toMatchObject({ id: suppression, email: null });
    for (const path of [
      `/v1/contacts?email=${email}`,
      '/v1/contacts?domain=gone.example',
      '/v1/suppressions',
    ]) {
      expect(await (await call(path, { key: account.key })).text()).not.toContain(email);
    }
    // Suppressed once more, it has the entry it had.
    expect(await made('/v1/suppressions', { email })).toBe(suppression);
  });

  it('that had unsubscribed is suppressed by its hash when it is erased, one by one or off its last list', async () => {
    const list = await made('/v1/lists', { name: 'Left' });
    const entry = async (email: string) =>
      jsonOf(await call(`/v1/suppressions/${email}`, { key: account.key }));
    for (const [name, path] of [
      ['once', '/v1/contacts'],
      ['member', `/v1/audiences/${list}/contacts`],
    ] as const) {
      const email = `${name}@left.example`;
      for (const unsubscribed of [false, true]) {
        const id = await made(path, { email, unsubscribed });
        await call(`${path}/${id}`, { key: account.key, method: 'DELETE' });
        expect((await call(`/v1/contacts/${id}`, { key: account.key })).status).toBe(404);
        const left = unsubscribed ? { origin: 'unsubscribe', email: null } : { statusCode: 404 };
        expect(await entry(email)).toMatchObject(left);
      }
    }
    // Still on another list, he is not erased.
    const other = await made('/v1/lists', { name: 'Other' });
    const body = { email: 'stays@left.example', unsubscribed: true };
    const id = await made('/v1/contacts', { ...body, segments: [{ id: list }, { id: other }] });
    await call(`/v1/audiences/${list}/contacts/${id}`, { key: account.key, method: 'DELETE' });
    expect(await entry(body.email)).toMatchObject({ statusCode: 404 });
  });

  it('tells the log what happened to it, and the audit log without an address', async () => {
    const own = await createAccount();
    const ask = (path: string, body?: unknown, method?: string) =>
      call(path, { key: own.key, body, ...(method && { method }) });
    const list = textAt(await jsonOf(await ask('/v1/lists', { name: 'L' })), 'id');
    const email = 'told@example.com';
    const id = textAt(await jsonOf(await ask('/v1/contacts', { email, segments: [{ id: list }] })), 'id');
    await ask('/v1/contacts', { email, first_name: 'Ann' });
    await ask(`/v1/contacts/${id}`, { unsubscribed: true }, 'PATCH');
    await ask(`/v1/contacts/${id}`, { unsubscribed: true }, 'PATCH');
    await ask(`/v1/contacts/${id}`, undefined, 'DELETE');
    const { data } = (await jsonOf(await ask('/v1/events?limit=100'))) as {
      data: { type: string; data: { id: string } }[];
    };
    const told = data.filter(({ type }) => type.startsWith('contact.'));
    expect(told.map(({ type }) => type)).toEqual([
      'contact.created',
      'contact.updated',
      'contact.updated',
      'contact.deleted',
    ]);
    expect(told.at(-1)?.data).toMatchObject({
      id,
      email: 'erased@erased.invalid',
      first_name: null,
      unsubscribed: true,
      audience_id: list,
      segment_ids: [list],
    });
    const audit = await rows(
      "SELECT actor, action, target, details FROM audit_log WHERE account_id = ? AND action LIKE 'contact.%' ORDER BY id",
      own.id,
    );
    expect(audit.map(({ action }) => action).sort()).toEqual([
      'contact.added_to_list',
      'contact.created',
      'contact.deleted',
      'contact.updated',
      'contact.updated',
    ]);
    expect(new Set(audit.map(({ target, actor }) => `${target} ${actor}`))).toEqual(
      new Set([`${id} ${own.keyId}`]),
    );
    expect(JSON.stringify(audit)).not.toContain('told');
  });
});
