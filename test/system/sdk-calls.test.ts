/** Every method of the official SDK that the table says works, called over HTTP. A method without a call fails. */
import { createHmac } from 'node:crypto';
import { Resend } from 'resend';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SDK_SUPPORT } from '../../scripts/sdk-support.ts';
import { type ApiClient, openAccount } from '../support/api-client.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };
const later = () => new Date(Date.now() + 3_600_000).toISOString();
const endpoint = () => `http://127.0.0.1:9/${Math.random()}`;

let relay: RelayUnderTest;
let smtp: MailCatcher;
let resend: Resend;
let client: ApiClient;

beforeAll(async () => {
  relay = await startRelay({
    quiet: true,
    settings: { SESSION_IDLE_MS: '200', ALLOW_PRIVATE_WEBHOOKS: 'true' },
  });
  smtp = await startMailCatcher();
  ({ client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } }));
  resend = new Resend(client.token, { baseUrl: new URL('/v1', relay.url).href });
});

afterAll(async () => {
  await relay.stop();
  await smtp.close();
});

type Answer<T> = PromiseLike<{ data: T | null; error: unknown }>;

async function got<T>(answer: Answer<T>): Promise<T> {
  const { data, error } = await answer;
  expect(error).toBeNull();
  if (data === null) throw new Error('the SDK has neither data nor an error');
  return data;
}

const sentId = async () => (await got(resend.emails.send(email))).id;
const scheduledId = async () => (await got(resend.emails.send({ ...email, scheduledAt: later() }))).id;
const domainId = async () =>
  (await got(resend.domains.create({ name: `d${Math.random().toString(36).slice(2)}.example` }))).id;
const keyId = async () => (await got(resend.apiKeys.create({ name: 'Another' }))).id;
const suppressed = async () => {
  const address = `${Math.random().toString(36).slice(2)}@example.net`;
  await got(resend.suppressions.add({ email: address }));
  return address;
};
const listId = async () => (await got(resend.segments.create({ name: 'A list' }))).id;
const topicId = async () =>
  (await got(resend.topics.create({ name: 'A topic', defaultSubscription: 'opt_in' }))).id;
const propertyId = async () => {
  const key = `p${Math.random().toString(36).slice(2)}`;
  return (await got(resend.contactProperties.create({ key, type: 'string', fallbackValue: 'x' }))).id;
};
const newAddress = () => `${Math.random().toString(36).slice(2)}@example.net`;
const contactEmail = async () => {
  const address = newAddress();
  await got(resend.contacts.create({ email: address, firstName: 'Ann' }));
  return address;
};
const member = async () => {
  const [segmentId, address] = [await listId(), newAddress()];
  await got(resend.contacts.create({ email: address, segments: [{ id: segmentId }] }));
  return { segmentId, email: address };
};
const templateIdOf = async () =>
  (await got(resend.templates.create({ name: 'One', html: '<p>Hello {{{NAME}}}</p>' }))).id;
const broadcastId = async () => {
  const draft = { from: 'News <sender@example.com>', subject: 'News', text: 'Hello' };
  return (await got(resend.broadcasts.create({ ...draft, segmentId: await listId() }))).id;
};
/** To one reader, with what became of it. */
const sentBroadcast = async () => {
  const { segmentId, email: reader } = await member();
  const made = await got(
    resend.broadcasts.create({
      name: 'Sent',
      audienceId: segmentId,
      segmentId,
      from: 'News <sender@example.com>',
      subject: 'News for {{{FIRST_NAME|you}}}',
      html: '<p>Hello</p><a href="{{{RESEND_UNSUBSCRIBE_URL}}}">end</a>',
      previewText: 'News',
      replyTo: ['answers@example.com'],
      topicId: await topicId(),
      send: true,
    }),
  );
  await client.until(`/v1/broadcasts/${made.id}`, ({ progress }) => progress?.delivered === 1);
  return { id: made.id, reader };
};
const importId = async () => {
  const list = await listId();
  const topic = await topicId();
  const options = {
    file: new Blob([`Mail,Given\r\n${newAddress()},Ann\r\nnobody,\r\n`], { type: 'text/csv' }),
    columnMap: { email: 'Mail', firstName: 'Given' },
    onConflict: 'upsert' as const,
    segments: [{ id: list }],
    topics: [{ id: topic, subscription: 'opt_in' as const }],
  };
  return (await got(resend.contacts.imports.create(options))).id;
};
const webhookIdOf = async () =>
  (await got(resend.webhooks.create({ endpoint: endpoint(), events: ['email.sent'] }))).id;
const withAttachment = async () => {
  const attachments = [{ filename: 'a.txt', content: Buffer.from('text') }];
  return (await got(resend.emails.send({ ...email, attachments }))).id;
};

/** A webhook and one event that was meant for it. Nobody listens there. */
async function webhookEvent(): Promise<{ webhookId: string; eventId: string }> {
  const id = await webhookIdOf();
  await sentId();
  const page = await client.until(
    `/v1/webhooks/${id}/events`,
    (body: { data?: unknown[] }) => (body.data?.length ?? 0) > 0,
  );
  return { webhookId: id, eventId: page.data[0].id };
}

const CALLS: Readonly<Record<string, () => Promise<unknown>>> = {
  'apiKeys.create': () => got(resend.apiKeys.create({ name: 'One', permission: 'sending_access' })),
  'apiKeys.list': () => got(resend.apiKeys.list({ limit: 5 })),
  'apiKeys.update': async () => got(resend.apiKeys.update(await keyId(), { name: 'Renamed' })),
  'apiKeys.remove': async () => got(resend.apiKeys.remove(await keyId())),
  'batch.create': () => got(resend.batch.create([email, { ...email, scheduledAt: later() }])),
  'batch.send': () => got(resend.batch.send([email], { batchValidation: 'permissive' })),
  'audiences.create': () => got(resend.audiences.create({ name: 'One' })),
  'audiences.get': async () => got(resend.audiences.get(await listId())),
  'audiences.list': () => got(resend.audiences.list()),
  'audiences.remove': async () => got(resend.audiences.remove(await listId())),
  'audiences.update': async () => got(resend.audiences.update(await listId(), { name: 'Renamed' })),
  'broadcasts.create': sentBroadcast,
  'broadcasts.cancel': async () => {
    const id = await broadcastId();
    await got(resend.broadcasts.send(id, { scheduledAt: later() }));
    expect(await got(resend.broadcasts.get(id))).toMatchObject({ status: 'scheduled' });
    const canceled = await got(resend.broadcasts.cancel(id));
    expect(await got(resend.broadcasts.get(id))).toMatchObject({ status: 'draft' });
    return canceled;
  },
  'broadcasts.duplicate': async () => got(resend.broadcasts.duplicate(await broadcastId())),
  'broadcasts.get': async () => {
    const { id } = await sentBroadcast();
    const found = await got(resend.broadcasts.get(id));
    expect(found).toMatchObject({
      name: 'Sent',
      status: 'sent',
      preview_text: 'News',
      reply_to: ['answers@example.com'],
      sent_at: expect.stringMatching(/Z$/),
    });
    return found;
  },
  'broadcasts.list': async () => {
    const id = await broadcastId();
    const page = await got(resend.broadcasts.list({ limit: 1 }));
    expect(page.data).toMatchObject([{ id, status: 'draft', sent_at: null }]);
    return page;
  },
  'broadcasts.recipients': async () => {
    const { id, reader } = await sentBroadcast();
    const page = await got(resend.broadcasts.recipients(id, { type: 'delivered', email: reader }));
    expect(page.data).toMatchObject([{ email: reader, contact_id: expect.stringMatching(/^con_/) }]);
    expect((await got(resend.broadcasts.recipients(id, { type: 'bounced' }))).data).toEqual([]);
    expect((await resend.broadcasts.recipients(id, { type: 'opened' })).error).toMatchObject({
      name: 'invalid_parameter',
    });
    return page;
  },
  'broadcasts.remove': async () => got(resend.broadcasts.remove(await broadcastId())),
  'broadcasts.send': async () => got(resend.broadcasts.send(await broadcastId())),
  'broadcasts.update': async () => {
    const id = await broadcastId();
    const made = await got(resend.broadcasts.update(id, { subject: 'Other', segmentId: await listId() }));
    expect(await got(resend.broadcasts.get(id))).toMatchObject({ subject: 'Other', text: 'Hello' });
    return made;
  },
  'contactProperties.create': propertyId,
  'contactProperties.get': async () => {
    const property = await got(resend.contactProperties.get(await propertyId()));
    expect(property).toMatchObject({ type: 'string', fallbackValue: 'x' });
    return property;
  },
  'contactProperties.list': () => got(resend.contactProperties.list({ limit: 5 })),
  'contactProperties.remove': async () => got(resend.contactProperties.remove(await propertyId())),
  'contactProperties.update': async () =>
    got(resend.contactProperties.update({ id: await propertyId(), fallbackValue: null })),
  'contacts.create': async () => {
    // The way of old, by audience.
    const audienceId = await listId();
    const made = await got(resend.contacts.create({ audienceId, email: newAddress(), unsubscribed: true }));
    expect(await got(resend.contacts.get({ id: made.id, audienceId }))).toMatchObject({ unsubscribed: true });
    return [await contactEmail(), made];
  },
  'contacts.get': async () => got(resend.contacts.get(await contactEmail())),
  'contacts.imports.create': async () => importId(),
  'contacts.imports.get': async () => {
    const id = await importId();
    await client.until(`/v1/contacts/imports/${id}`, ({ status }) => status === 'completed');
    const found = await got(resend.contacts.imports.get(id));
    expect(found.counts).toEqual({ total: 2, created: 1, updated: 0, skipped: 0, failed: 1 });
    return found;
  },
  'contacts.imports.list': async () => {
    await importId();
    return got(resend.contacts.imports.list({ limit: 5 }));
  },
  'contacts.list': async () => {
    const { segmentId, email: address } = await member();
    expect((await got(resend.contacts.list({ segmentId }))).data).toMatchObject([{ email: address }]);
    return got(resend.contacts.list({ limit: 5 }));
  },
  'contacts.remove': async () => {
    const { segmentId, email: address } = await member();
    await got(resend.contacts.remove({ email: address, audienceId: segmentId }));
    return got(resend.contacts.remove(await contactEmail()));
  },
  'contacts.segments.add': async () => {
    const [segmentId, address] = [await listId(), await contactEmail()];
    return got(resend.contacts.segments.add({ email: address, segmentId }));
  },
  'contacts.segments.list': async () => {
    const { segmentId, email: address } = await member();
    const { data } = await got(resend.contacts.segments.list({ email: address, limit: 5 }));
    expect(data).toMatchObject([{ id: segmentId }]);
    return data;
  },
  'contacts.segments.remove': async () => got(resend.contacts.segments.remove(await member())),
  'contacts.topics.list': async () => got(resend.contacts.topics.list({ email: await contactEmail() })),
  'contacts.topics.update': async () => {
    const [address, id] = [await contactEmail(), await topicId()];
    const topics = [{ id, subscription: 'opt_out' as const }];
    return got(resend.contacts.topics.update({ email: address, topics }));
  },
  'contacts.update': async () => {
    const address = await contactEmail();
    await got(resend.contacts.update({ email: address, firstName: null, unsubscribed: true }));
    const changed = await got(resend.contacts.get({ email: address }));
    expect(changed).toMatchObject({ first_name: null, unsubscribed: true });
    return changed;
  },
  'domains.create': domainId,
  'domains.get': async () => got(resend.domains.get(await domainId())),
  'domains.list': () => got(resend.domains.list()),
  'domains.remove': async () => got(resend.domains.remove(await domainId())),
  'emails.attachments.get': async () => {
    const emailId = await withAttachment();
    const [attachment] = (await got(resend.emails.attachments.list({ emailId }))).data;
    return got(resend.emails.attachments.get({ emailId, id: attachment?.id ?? '' }));
  },
  'emails.attachments.list': async () =>
    got(resend.emails.attachments.list({ emailId: await withAttachment() })),
  'emails.cancel': async () => got(resend.emails.cancel(await scheduledId())),
  'emails.create': () => got(resend.emails.create(email)),
  'emails.get': async () => got(resend.emails.get(await sentId())),
  'emails.list': () => got(resend.emails.list({ limit: 5 })),
  'emails.send': sentId,
  'emails.update': async () => got(resend.emails.update({ id: await scheduledId(), scheduledAt: later() })),
  get: () => got(resend.get('/emails')),
  post: () => got(resend.post('/emails', email)),
  patch: async () => got(resend.patch(`/api-keys/${await keyId()}`, { name: 'Renamed' })),
  delete: async () => got(resend.delete(`/api-keys/${await keyId()}`)),
  fetchRequest: () => {
    // It adds no key of its own: the SDK's methods give it one.
    const headers = { authorization: `Bearer ${client.token}` };
    return got(resend.fetchRequest('/domains', { method: 'GET', headers }));
  },
  'segments.create': () => got(resend.segments.create({ name: 'One' })),
  'segments.get': async () => got(resend.segments.get(await listId())),
  'segments.list': () => got(resend.segments.list({ limit: 5 })),
  'segments.remove': async () => got(resend.segments.remove(await listId())),
  'segments.update': async () => got(resend.segments.update(await listId(), { name: 'Renamed' })),
  'suppressions.add': suppressed,
  'suppressions.batch.add': () => got(resend.suppressions.batch.add({ emails: ['a@example.net'] })),
  'suppressions.batch.remove': async () =>
    got(resend.suppressions.batch.remove({ emails: [await suppressed()] })),
  'suppressions.get': async () => got(resend.suppressions.get(await suppressed())),
  'suppressions.list': () => got(resend.suppressions.list({ origin: 'manual' })),
  'suppressions.remove': async () => got(resend.suppressions.remove(await suppressed())),
  'topics.create': topicId,
  'topics.get': async () => got(resend.topics.get(await topicId())),
  'topics.list': () => got(resend.topics.list()),
  'topics.remove': async () => got(resend.topics.remove(await topicId())),
  'topics.update': async () => got(resend.topics.update({ id: await topicId(), name: 'Renamed' })),
  'templates.create': async () => {
    const made = resend.templates.create({
      name: 'Order',
      alias: 'order',
      from: 'sender@example.com',
      subject: 'Order {{{NUMBER}}}',
      html: '<p>Order {{{NUMBER}}} of {{{NAME}}}</p>',
      variables: [
        { key: 'NUMBER', type: 'number' },
        { key: 'NAME', type: 'string', fallbackValue: 'somebody' },
      ],
    });
    await got(made.publish());
    const template = { id: 'order', variables: { NUMBER: 17 } };
    const { id } = await got(resend.emails.send({ to: 'one@example.net', template }));
    expect(await got(resend.emails.get(id))).toMatchObject({
      from: 'sender@example.com',
      subject: 'Order 17',
      html: '<p>Order 17 of somebody</p>',
      text: 'Order 17 of somebody',
    });
    return made;
  },
  'templates.duplicate': async () => got(resend.templates.duplicate(await templateIdOf()).publish()),
  'templates.get': async () => got(resend.templates.get(await templateIdOf())),
  'templates.list': () => got(resend.templates.list({ limit: 5 })),
  'templates.publish': async () => got(resend.templates.publish(await templateIdOf())),
  'templates.remove': async () => got(resend.templates.remove(await templateIdOf())),
  'templates.update': async () =>
    got(resend.templates.update(await templateIdOf(), { subject: 'Another', replyTo: 'a@example.net' })),
  'webhooks.create': webhookIdOf,
  'webhooks.get': async () => got(resend.webhooks.get(await webhookIdOf())),
  'webhooks.list': () => got(resend.webhooks.list()),
  'webhooks.remove': async () => got(resend.webhooks.remove(await webhookIdOf())),
  'webhooks.rotateSigningSecret': async () => got(resend.webhooks.rotateSigningSecret(await webhookIdOf())),
  'webhooks.update': async () =>
    got(resend.webhooks.update(await webhookIdOf(), { events: ['email.delivered'], status: 'disabled' })),
  'webhooks.events.list': async () =>
    got(resend.webhooks.events.list({ webhookId: (await webhookEvent()).webhookId })),
  'webhooks.events.get': async () => {
    return got(resend.webhooks.events.get(await webhookEvent()));
  },
  'webhooks.events.replay': async () => {
    return got(resend.webhooks.events.replay(await webhookEvent()));
  },
  'webhooks.events.attempts.list': async () => {
    return got(resend.webhooks.events.attempts.list(await webhookEvent()));
  },
  'webhooks.verify': async () => {
    const payload = JSON.stringify({ type: 'email.sent', created_at: later(), data: {} });
    const timestamp = String(Math.floor(Date.now() / 1000));
    const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
    const signature = createHmac('sha256', key).update(`evt_1.${timestamp}.${payload}`).digest('base64');
    const headers = { id: 'evt_1', timestamp, signature: `v1,${signature}` };
    return resend.webhooks.verify({ payload, headers, webhookSecret: SECRET });
  },
};

const WORKING = Object.keys(SDK_SUPPORT).filter((method) => SDK_SUPPORT[method]?.status === 'works');

test('no method that works is without a call', () => {
  expect(WORKING.filter((method) => !CALLS[method])).toEqual([]);
});

test.each(WORKING)('%s works', async (method) => {
  expect(await CALLS[method]?.()).toBeTruthy();
});
