/** What D1 does for one page, look-up or write must not grow with the number of contacts: the plans say so. */
import { env } from 'cloudflare:workers';
import { beforeAll, expect, it } from 'vitest';
import { contactInputOf } from '../../src/services/contact-input.ts';
import { listContacts, listRecipients } from '../../src/services/contact-pages.ts';
import { filterableIds, loadProperties } from '../../src/services/contact-properties.ts';
import * as contacts from '../../src/services/contacts.ts';
import { deleteList, listListsOfContact } from '../../src/services/lists.ts';
import { leaveList } from '../../src/services/memberships.ts';
import { operatorContext, type ServiceContext } from '../../src/services/service-context.ts';
import { deleteTopic, listTopicsOfContact } from '../../src/services/topics.ts';
import { upsertContacts } from '../../src/services/upsert-contacts.ts';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';
import { RAW, seenStatements } from '../support/statement-tap.ts';

let account: TestAccount;
let context: ServiceContext;
let list: string;
let topic: string;
let contact: string;
const segments = new Map<string, string>();

const made = async (path: string, body: unknown) =>
  textAt(await jsonOf(await call(path, { key: account.key, body })), 'id');

beforeAll(async () => {
  account = await createAccount();
  context = operatorContext(env as never, account.id, 'req_test');
  await made('/v1/contact-properties', { key: 'plan', type: 'string', is_filterable: true });
  list = await made('/v1/lists', { name: 'L' });
  topic = await made('/v1/topics', { name: 'T', default_subscription: 'opt_out' });
  const filters = {
    byProperty: { and: [{ property: 'plan', equals: 'gold' }, { unsubscribed: false }] },
    byNothing: {
      or: [{ domain: 'example.com' }, { topic, subscription: 'opt_in' }, { not: { list } }],
    },
    byTime: { created_at: { within_days: 1 } },
  };
  for (const [name, filter] of Object.entries(filters)) {
    segments.set(name, await made('/v1/lists', { name, filter }));
  }
  contact = await made('/v1/contacts', { email: 'a@example.com', segments: [list] });
});

/** Tables that grow with the number of contacts. */
const LARGE = /\b(?:contacts|contact_values|list_members|contact_topics|suppressions|member|had|choice)\b/;

/** Steps that read a large table from end to end, or sort. */
async function slowStepsOf(act: () => Promise<unknown>): Promise<string[]> {
  const before = seenStatements().length;
  await act();
  const statements = seenStatements().slice(before);
  expect(statements.length).toBeGreaterThan(0);
  const slow: string[] = [];
  for (const { sql, values } of statements) {
    const plan = env.DB.prepare(`${RAW} EXPLAIN QUERY PLAN ${sql}`).bind(...values);
    for (const { detail } of (await plan.all<{ detail: string }>()).results) {
      const isSlow = (/^SCAN /.test(detail) && LARGE.test(detail)) || /TEMP B-TREE/.test(detail);
      // With the first column alone, a search is a scan of the account.
      const isAll = /\(account_id=\?\)/.test(detail) && LARGE.test(detail) && !/LIMIT/i.test(sql);
      if (isSlow || isAll) slow.push(`${detail} in ${sql.replace(/\s+/g, ' ')}`);
    }
  }
  return slow;
}

const page = { limit: 20 };
const segment = (name: string) => segments.get(name) ?? '';

it.each<[string, () => Promise<unknown>]>([
  ['the first page of all contacts', () => listContacts(context, page)],
  ['a later page', () => listContacts(context, { ...page, after: contact })],
  ['a page backwards', () => listContacts(context, { ...page, before: contact })],
  ['a look-up by address', () => listContacts(context, { ...page, email: 'a@example.com' })],
  ['a page of a domain', () => listContacts(context, { ...page, domain: 'example.com', after: contact })],
  ['a page of a list', () => listContacts(context, { ...page, listId: list, after: contact })],
  ['a page of a list backwards', () => listContacts(context, { ...page, listId: list, before: contact })],
  [
    'a page of a segment by property',
    () => listContacts(context, { ...page, listId: segment('byProperty'), after: contact }),
  ],
  [
    'a page of a segment that no index drives',
    () => listContacts(context, { ...page, listId: segment('byNothing'), after: contact }),
  ],
  ['a page of a segment by time', async () => listContacts(context, { ...page, listId: segment('byTime') })],
  ['a page of recipients', () => listRecipients(context, { listId: list, limit: 100, cursor: contact })],
  [
    'a page of recipients of a topic',
    () => listRecipients(context, { listId: list, topicId: topic, limit: 100, cursor: contact }),
  ],
  [
    'a page of recipients of a segment',
    () => listRecipients(context, { listId: segment('byProperty'), topicId: topic, limit: 100 }),
  ],
  ['one contact', () => contacts.describeContact(context, 'a@example.com')],
  ['the lists of a contact', () => listListsOfContact(context, contact, page)],
  ['the topics of a contact', () => listTopicsOfContact(context, contact, { limit: 100 })],
  ['a change', () => contacts.updateContact(context, contact, { properties: { plan: 'gold' } })],
  [
    'a change that removes a value',
    () => contacts.updateContact(context, contact, { properties: { plan: null } }),
  ],
  ['another address', () => contacts.updateContact(context, contact, { email: 'b@example.com' })],
  [
    'a bulk write',
    async () => {
      const properties = await loadProperties(context);
      const input = (email: string) => contactInputOf(properties, { email, properties: { plan: 'free' } });
      return upsertContacts(context, [input('b@example.com'), input('c@example.com')], {
        onConflict: 'upsert',
        lists: [{ id: list, status: 'confirmed' }],
        topics: [{ id: topic, subscription: 'opt_in' }],
        filterable: filterableIds(properties),
      });
    },
  ],
  ['leaving a list', () => leaveList(context, contact, list)],
  ['erasing a contact', () => contacts.deleteContact(context, contact)],
  ['emptying and deleting a topic', () => deleteTopic(context, topic)],
  ['emptying and deleting a list', () => deleteList(context, list)],
])('%s reads along an index', async (_name, act) => {
  expect(await slowStepsOf(act)).toEqual([]);
});
