/** The question asked before mail of a broadcast or about a topic is sent. */
import { env } from 'cloudflare:workers';
import { beforeAll, expect, it } from 'vitest';
import { emailHash } from '../../src/crypto/contact-hash.ts';
import type { Env } from '../../src/env.ts';
import { findAccountState } from '../../src/services/account-state.ts';
import { scopeOfOutbox } from '../../src/store/db.ts';
import { findUnwanted } from '../../src/store/topic-choices.ts';
import { callsOf, createAccount, type TestAccount } from '../support/control-plane.ts';

let account: TestAccount;
const { ask, made } = callsOf(() => account);
const topics: Record<string, string> = {};
const contacts: Record<string, string> = {};

beforeAll(async () => {
  account = await createAccount();
  for (const subscription of ['opt_in', 'opt_out'])
    topics[subscription] = await made('/v1/topics', {
      name: subscription,
      default_subscription: subscription,
    });
  topics.gone = await made('/v1/topics', { name: 'Gone', default_subscription: 'opt_in' });
  const choice = (topic: string, subscription: string) => ({ topics: [{ id: topics[topic], subscription }] });
  const people: Record<string, object> = {
    plain: {},
    ended: { unsubscribed: true },
    out: choice('opt_in', 'opt_out'),
    in: choice('opt_out', 'opt_in'),
    moved: {},
    erased: {},
    again: {},
  };
  for (const [name, more] of Object.entries(people))
    contacts[name] = await made('/v1/contacts', { email: `${name}@example.com`, ...more });
  await ask(`/v1/topics/${topics.gone}`, undefined, 'DELETE');
  await ask(`/v1/contacts/${contacts.moved}`, { email: 'new@example.com' }, 'PATCH');
  for (const name of ['erased', 'again']) await ask(`/v1/contacts/${contacts[name]}`, undefined, 'DELETE');
  await made('/v1/contacts', { email: 'again@example.com' });
});

it.each([
  // Mail of a broadcast is for a contact, and may be about a topic.
  ['plain', { contact: 'plain' }, false],
  ['plain', { contact: 'plain', topic: 'opt_in' }, false],
  ['plain', { contact: 'plain', topic: 'opt_out' }, true],
  ['plain', { contact: 'plain', topic: 'gone' }, true],
  ['ended', { contact: 'ended' }, true],
  ['out', { contact: 'out' }, false],
  ['out', { contact: 'out', topic: 'opt_in' }, true],
  ['in', { contact: 'in', topic: 'opt_out' }, false],
  ['moved', { contact: 'moved' }, true],
  ['new', { contact: 'moved' }, false],
  ['erased', { contact: 'erased' }, true],
  ['again', { contact: 'again' }, true],
  ['plain', { contact: 'in' }, true],
  // Other mail is for an address.
  ['stranger', { topic: 'opt_in' }, false],
  ['stranger', { topic: 'opt_out' }, true],
  ['again', { topic: 'opt_in' }, false],
  ['ended', { topic: 'opt_in' }, true],
])(
  'mail to %s with %j is unwanted: %s',
  async (name, about: { contact?: string; topic?: string }, unwanted) => {
    const scope = scopeOfOutbox(env.DB, account.id);
    const keys = (await findAccountState(env as unknown as Env, scope))?.dataKeys ?? [];
    const contactId = about.contact && contacts[about.contact];
    const topicId = about.topic && topics[about.topic];
    const question = {
      key: 'asked',
      emailHash: emailHash(keys, `${name}@example.com`),
      ...(contactId && { contactId }),
      ...(topicId && { topicId }),
    };
    const other = { key: 'other', emailHash: emailHash(keys, 'new@example.com') };
    expect([...(await findUnwanted(scope, [other, question]))]).toEqual(unwanted ? ['asked'] : []);
  },
);
