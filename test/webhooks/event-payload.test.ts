import type {
  EmailBouncedEvent,
  EmailDeliveredEvent,
  EmailFailedEvent,
  EmailSentEvent,
  WebhookEventPayload,
} from 'resend';
import { describe, expect, test } from 'vitest';
import { newDataKey } from '../../src/crypto/data-key.ts';
import { advance, newProgress, type TimelineEvent } from '../../src/delivery/progress.ts';
import { newId, newMessageId } from '../../src/ids.ts';
import { type MessageSummary, sealMessage, sealReplies } from '../../src/outbox/message-content.ts';
import { type EventEntry, entriesOfChange } from '../../src/outbox/webhooks/event-entry.ts';
import { eventPayload, MAX_PAYLOAD_BYTES, sealEventData } from '../../src/outbox/webhooks/event-payload.ts';

const accountId = newId('account');
const id = newMessageId(0);
const key = newDataKey();
const mailbox = (address: string) => ({ address, domain: address.split('@')[1] ?? '' });
const summary = {
  from: mailbox('a@example.com'),
  to: [mailbox('one@example.net')],
  cc: [],
  bcc: [mailbox('two@example.net')],
  replyTo: [],
  subject: 'A subject',
  tags: [{ name: 'kind', value: 'receipt' }],
  envelopeFrom: 'a@example.com',
} as unknown as MessageSummary;

async function payloadOf(entry: EventEntry, of: MessageSummary = summary) {
  const identity = { accountId, id };
  const sealed = await sealMessage(key, identity, {
    summary: of,
    head: { headers: [], attachments: [] },
    attachments: [],
  });
  const replies = sealReplies(key, identity, new Map([[0, '550 5.1.1 no such user']]));
  const message = { acceptedAtMs: 1000, summary: sealed.summary, replies };
  const payload = eventPayload({ accountId, shard: 0, keys: [key] }, { seq: 1, index: 0, entry, message });
  if (!payload) throw new Error('no payload');
  return payload;
}

/** Says at compile time, too, that a payload is what the SDK promises its users. */
function as<T extends WebhookEventPayload>(payload: unknown): T {
  return payload as T;
}

describe('a payload', () => {
  test('has the fields of the SDK for each of its types', async () => {
    const sent = as<EmailSentEvent>(await payloadOf({ m: id, t: 'sent', a: 2000 }));
    const base: EmailSentEvent['data'] = {
      email_id: id,
      created_at: new Date(1000).toISOString(),
      from: 'a@example.com',
      to: ['one@example.net'],
      subject: 'A subject',
      message_id: `<${id}@example.com>`,
      tags: { kind: 'receipt' },
    };
    expect(sent).toMatchObject({ type: 'email.sent', created_at: new Date(2000).toISOString(), data: base });
    const delivered: EmailDeliveredEvent['type'] = 'email.delivered';
    expect(await payloadOf({ m: id, t: 'delivered', a: 0, r: [1] })).toMatchObject({
      type: delivered,
      data: { ...base, recipients: ['two@example.net'] },
    });
    const bounce: EmailBouncedEvent['data']['bounce'] = {
      type: 'Permanent',
      subType: 'NoEmail',
      message: '550 5.1.1 no such user',
    };
    expect(await payloadOf({ m: id, t: 'bounced', a: 0, r: [0], x: 'no_such_mailbox' })).toMatchObject({
      type: 'email.bounced',
      data: { ...base, bounce },
    });
    const failed: EmailFailedEvent['data']['failed'] = { reason: 'expired' };
    expect(await payloadOf({ m: id, t: 'expired', a: 0 })).toMatchObject({
      type: 'email.failed',
      data: { failed },
    });
  });

  test.each([
    ['in_doubt', 'email.in_doubt'],
    ['resolved', 'email.resolved'],
    ['relay.failover', 'email.relay_failover'],
    ['scheduled', 'email.scheduled'],
    ['canceled', 'email.canceled'],
  ])('of %s is %s', async (t, type) => {
    expect((await payloadOf({ m: id, t, a: 0 })).type).toBe(type);
  });

  test('stays below 20 kB, whatever the message carries', async () => {
    const long = (name: string, length: number) => name + 'x'.repeat(length - name.length);
    const large = {
      ...summary,
      to: Array.from({ length: 50 }, (_, n) => mailbox(`${long(`to${n}`, 64)}@${long('d', 180)}.example`)),
      subject: '"'.repeat(9000),
      tags: Array.from({ length: 50 }, (_, n) => ({ name: long(`${n}`, 256), value: long('v', 256) })),
    } as unknown as MessageSummary;
    const payload = await payloadOf({ m: id, t: 'bounced', a: 0, r: [0] }, large);
    expect(Buffer.byteLength(JSON.stringify(payload))).toBeLessThan(MAX_PAYLOAD_BYTES);
    expect(payload.data).toMatchObject({ truncated: true, email_id: id });
  });

  test('about the account opens only for its own account and nonce', () => {
    const nonce = newId('event');
    const entry = {
      t: 'domain.created',
      a: 5,
      k: nonce,
      d: sealEventData([key], { accountId, nonce }, { name: 'x.example' }),
    };
    const owner = { accountId, shard: 0, keys: [key] };
    expect(eventPayload(owner, { seq: 1, index: 0, entry })).toMatchObject({
      type: 'domain.created',
      data: { name: 'x.example' },
    });
    expect(() =>
      eventPayload({ ...owner, accountId: newId('account') }, { seq: 1, index: 0, entry }),
    ).toThrow();
    const moved = { ...entry, k: newId('event') };
    expect(() => eventPayload(owner, { seq: 1, index: 0, entry: moved })).toThrow();
  });

  test('is missing where the message is past its retention', () => {
    const entry = { m: id, t: 'sent', a: 0 };
    expect(eventPayload({ accountId, shard: 0, keys: [key] }, { seq: 1, index: 0, entry })).toBeUndefined();
  });
});

describe('what a change adds to the log', () => {
  const event = (type: TimelineEvent['type']): TimelineEvent => ({ type, atMs: 7, recipients: [0] });
  const typesOf = (before: TimelineEvent[], fresh: TimelineEvent[]) => {
    const start = { ...newProgress(1, 0), timeline: [{ type: 'queued' as const, atMs: 0 }, ...before] };
    return entriesOfChange('m', start, advance(start, new Map(), fresh), 9).map(({ t }) => t);
  };

  test('begins with the sending, once', () => {
    expect(typesOf([], [event('delivered')])).toEqual(['sent', 'delivered']);
    expect(typesOf([], [event('delivery_delayed')])).toEqual(['sent', 'delivery_delayed']);
    expect(typesOf([event('delivery_delayed')], [event('delivered')])).toEqual(['delivered']);
    expect(typesOf([event('in_doubt')], [event('resolved')])).toEqual(['resolved']);
  });

  test('is nothing where nothing happened', () => {
    expect(typesOf([], [])).toEqual([]);
  });

  test('is told also where the timeline is at its limit', () => {
    const many = Array.from({ length: 199 }, () => event('delivery_delayed'));
    expect(typesOf(many, [event('delivered')])).toEqual(['delivered']);
  });
});
