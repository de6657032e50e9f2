import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { listRecipients } from '../../src/services/contact-pages.ts';
import { operatorContext } from '../../src/services/service-context.ts';
import { call, createAccount, jsonOf, letSend, type TestAccount, textAt } from '../support/control-plane.ts';

let account: TestAccount;
let list: string;
let careful: string;
let news: string;
let offers: string;
const contacts = new Map<string, string>();

const post = async (path: string, body: unknown, method = 'POST') => {
  const response = await call(path, { key: account.key, body, method });
  return { status: response.status, body: await jsonOf(response) };
};
const made = async (path: string, body: unknown) => textAt((await post(path, body)).body, 'id');

beforeAll(async () => {
  account = await createAccount();
  await made('/v1/contact-properties', { key: 'country', type: 'string', is_filterable: true });
  await made('/v1/contact-properties', { key: 'age', type: 'number', is_filterable: true });
  await made('/v1/contact-properties', { key: 'secret', type: 'string' });
  list = await made('/v1/lists', { name: 'All' });
  await letSend(account, 'careful.example', inject('smtpPort'));
  const asking = { double_opt_in: true, confirmation_from: 'list@careful.example' };
  careful = await made('/v1/lists', { name: 'Careful', ...asking });
  news = await made('/v1/topics', { name: 'News', default_subscription: 'opt_in' });
  offers = await made('/v1/topics', { name: 'Offers', default_subscription: 'opt_out' });
  for (const [name, domain, more] of [
    ['ann', 'a.example', { properties: { country: 'CH', age: 30 }, segments: [list] }],
    ['bob', 'a.example', { properties: { country: 'CH' }, unsubscribed: true, segments: [list] }],
    ['cid', 'b.example', { properties: { country: 'DE', age: 30 }, segments: [list, careful] }],
    ['dan', 'b.example', { topics: [{ id: news, subscription: 'opt_out' }], segments: [list] }],
    ['eve', 'c.example', { topics: [{ id: offers, subscription: 'opt_in' }] }],
  ] as const) {
    contacts.set(name, await made('/v1/contacts', { email: `${name}@${domain}`, ...more }));
  }
});

async function matching(filter: unknown): Promise<string> {
  const id = await made('/v1/segments', { name: 'Some', filter });
  const response = await call(`/v1/segments/${id}/contacts`, { key: account.key });
  const { data } = (await jsonOf(response)) as { data?: { email: string }[] };
  if (!data) throw new Error(`${response.status} for ${JSON.stringify(filter)}`);
  return data
    .map(({ email }) => email.split('@')[0])
    .sort()
    .join(' ');
}

describe('a filter', () => {
  it.each<[string, () => unknown]>([
    ['ann bob', () => ({ property: 'country', equals: 'CH' })],
    ['cid dan eve', () => ({ property: 'country', not_equals: 'CH' })],
    ['ann bob cid', () => ({ property: 'country', one_of: ['CH', 'DE'] })],
    ['ann bob cid', () => ({ property: 'country', is_set: true })],
    ['dan eve', () => ({ property: 'country', is_set: false })],
    ['ann cid', () => ({ property: 'age', equals: 30 })],
    ['', () => ({ property: 'country', equals: 'ch' })],
    ['ann bob', () => ({ domain: 'A.example' })],
    ['bob', () => ({ unsubscribed: true })],
    ['ann bob cid dan', () => ({ list })],
    ['ann bob cid dan', () => ({ segment: list })],
    ['', () => ({ list: careful })],
    ['eve', () => ({ not: { list } })],
    ['ann bob cid eve', () => ({ topic: news, subscription: 'opt_in' })],
    ['dan', () => ({ topic: news, subscription: 'opt_out' })],
    ['eve', () => ({ topic: offers, subscription: 'opt_in' })],
    ['ann bob cid dan', () => ({ topic: offers, subscription: 'opt_out' })],
    ['ann bob cid dan eve', () => ({ created_at: { within_days: 1 } })],
    ['', () => ({ created_at: { older_than_days: 1 } })],
    ['', () => ({ updated_at: { before: '2026-01-01T00:00:00Z' } })],
    ['ann bob cid dan eve', () => ({ updated_at: { after: '2026-01-01T00:00:00+01:00', within_days: 3 } })],
    [
      'ann',
      () => ({
        and: [
          { property: 'country', equals: 'CH' },
          { property: 'age', equals: 30 },
        ],
      }),
    ],
    ['ann', () => ({ and: [{ list }, { domain: 'a.example' }, { unsubscribed: false }] })],
    ['ann bob eve', () => ({ or: [{ domain: 'c.example' }, { property: 'country', equals: 'CH' }] })],
    [
      'cid dan',
      () => ({ and: [{ list }, { not: { or: [{ domain: 'a.example' }, { domain: 'c.example' }] } }] }),
    ],
    [
      'bob',
      () => ({
        and: [{ and: [{ domain: 'a.example' }, { created_at: { within_days: 1 } }] }, { unsubscribed: true }],
      }),
    ],
  ])('finds %j', async (names, filter) => {
    expect(await matching(filter())).toBe(names);
  });

  it.each<[unknown, string]>([
    [{}, '`filter` field: must have one of and, or, not'],
    [{ and: [] }, '`filter.and` field'],
    [{ and: [{ domain: 'a.example' }], or: [] }, '`filter` field: must have nothing beside and'],
    [{ and: [{ not: 3 }] }, '`filter.and[0].not` field: must be an object'],
    [{ property: 'secret', equals: 'x' }, '`filter.property` field: is not filterable'],
    [{ property: 'nothing', equals: 'x' }, '`filter.property` field: there is no contact property'],
    [{ property: 'age', gt: 3 }, '`filter.gt` field: values are hashed'],
    [{ property: 'age', equals: 'x' }, '`filter.equals` field: must be a number'],
    [{ property: 'age' }, '`filter.property` field: takes exactly one of'],
    [{ property: 'age', equals: 3, is_set: true }, '`filter.property` field: takes exactly one of'],
    [{ domain: 'a..b' }, '`filter.domain` field'],
    [{ domain: 'a.example', extra: 1 }, 'Unknown field `filter.extra`'],
    [{ list: 'lst_x' }, '`filter.list` field: is not of a list'],
    [{ topic: 'top_x', subscription: 'opt_in' }, '`filter.topic` field'],
    [{ topic: 'top_x' }, '`filter.subscription` field'],
    [{ created_at: { after: 'yesterday' } }, '`filter.created_at.after` field'],
    [{ created_at: {} }, '`filter.created_at` field'],
    [{ or: [{ activity: { opened: true } }] }, '`filter.or[0].activity` field: what contacts opened'],
    [{ not: { not: { not: { not: { not: { not: { domain: 'a.example' } } } } } } }, 'nested more than'],
    [{ or: Array.from({ length: 26 }, () => ({ domain: 'a.example' })) }, 'at most 25 conditions'],
  ])('%j is refused', async (filter, text) => {
    const { status, body } = await post('/v1/segments', { name: 'Wrong', filter });
    expect([status, body.message]).toEqual([422, expect.stringContaining(text)]);
  });

  it('as large as it may be still fits into one statement', async () => {
    const leaf = { property: 'country', one_of: Array.from({ length: 20 }, (_, index) => `c${index}`) };
    expect(await matching({ or: Array.from({ length: 25 }, () => leaf) })).toBe('');
    const topic = { topic: news, subscription: 'opt_out' };
    expect(await matching({ or: Array.from({ length: 25 }, () => topic) })).toBe('dan');
    const between = (days: number) => ({ created_at: { within_days: days, before: '2999-01-01T00:00:00Z' } });
    const times = Array.from({ length: 24 }, (_, index) => between(index + 1));
    const never = { created_at: { before: '2000-01-01T00:00:00Z' } };
    for (const kind of ['and', 'or']) {
      expect(await matching({ [kind]: [...times, { domain: 'c.example' }] })).toContain('eve');
    }
    expect(await matching({ and: [...times, { not: never }] })).toBe('ann bob cid dan eve');
    expect(await matching({ and: [...times, never] })).toBe('');
  });

  it('that names what was deleted means nobody, whatever it says', async () => {
    const gone = await made('/v1/lists', { name: 'Gone' });
    const id = await made('/v1/segments', { name: 'Not on it', filter: { not: { list: gone } } });
    await post(`/v1/lists/${gone}`, undefined, 'DELETE');
    const response = await call(`/v1/segments/${id}/contacts`, { key: account.key });
    expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([
      409,
      expect.stringContaining('`filter.not.list`'),
    ]);
    await expect(recipientsOf(id)).rejects.toThrow('cannot be used any more');
  });

  it('is fixed in being there or not, and nobody joins a list that has one', async () => {
    const id = await made('/v1/segments', { name: 'Some', filter: { domain: 'a.example' } });
    const change = await post(`/v1/segments/${id}`, { filter: { domain: 'c.example' } }, 'PATCH');
    expect(change.status).toBe(200);
    const changed = await jsonOf(await call(`/v1/segments/${id}`, { key: account.key }));
    expect(changed.filter).toEqual({ domain: 'c.example' });
    expect((await post(`/v1/segments/${list}`, { filter: { domain: 'c.example' } }, 'PATCH')).status).toBe(
      422,
    );
    const join = await post(`/v1/contacts/eve@c.example/segments/${id}`, undefined);
    expect([join.status, join.body.message]).toEqual([422, expect.stringContaining('has a filter')]);
    expect((await post('/v1/segments', { name: 'x', filter: { list: id } })).status).toBe(422);
  });
});

async function recipientsOf(listId: string, topicId?: string, limit = 2): Promise<string> {
  const context = operatorContext(env as never, account.id, 'req_test');
  const names: (string | undefined)[] = [];
  let cursor: string | undefined;
  do {
    const page = await listRecipients(context, { listId, topicId, cursor, limit });
    names.push(...page.contacts.map(({ email }) => email.split('@')[0]));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return names.sort().join(' ');
}

describe('recipients', () => {
  it('are those on a list who are confirmed, not unsubscribed, and subscribed to the topic', async () => {
    expect(await recipientsOf(list)).toBe('ann cid dan');
    expect(await recipientsOf(list, news)).toBe('ann cid');
    expect(await recipientsOf(list, offers)).toBe('');
    expect(await recipientsOf(careful)).toBe('');
    const id = await made('/v1/segments', { name: 'All', filter: { created_at: { within_days: 1 } } });
    expect(await recipientsOf(id)).toBe('ann cid dan eve');
    expect(await recipientsOf(id, offers, 1)).toBe('eve');
  });
});
