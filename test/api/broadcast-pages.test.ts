/** What the Outbox asks for while it runs a broadcast, asked here by the test. */
import { env } from 'cloudflare:workers';
import fc from 'fast-check';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import type { Env } from '../../src/env.ts';
import { parseMessageId } from '../../src/ids.ts';
import { openHead, openSummary } from '../../src/outbox/client.ts';
import { findAccountState } from '../../src/services/account-state.ts';
import { broadcastJobs } from '../../src/services/broadcast-jobs.ts';
import { scopeOfOutbox } from '../../src/store/db.ts';
import { callsOf, createAccount, letSend, type TestAccount } from '../support/control-plane.ts';

let account: TestAccount;
const { ask, made } = callsOf(() => account);
const bindings = env as unknown as Env;
const scope = () => scopeOfOutbox(env.DB, account.id);
const jobOf = (broadcastId: string) => ({ env: bindings, scope: scope(), broadcastId });
type Page = Parameters<typeof broadcastJobs.composePage>[1];
type Range = Page['range'];

async function put(people: readonly object[], list: string): Promise<string[]> {
  const ids: string[] = [];
  for (const person of people) ids.push(await made('/v1/contacts', { ...person, segments: [{ id: list }] }));
  return ids;
}

/** As if it had been handed over, with nobody to run it. */
async function handedOver(list: string, more: object = {}): Promise<string> {
  const id = await made('/v1/broadcasts', {
    list_id: list,
    from: 'News <news@acme.example>',
    subject: 'For {{contact.first_name|you}}',
    html: '<p>{{contact.first_name}}</p>',
    ...more,
  });
  await env.DB.prepare('UPDATE broadcasts SET handed_over_at = 1, origin = ? WHERE account_id = ? AND id = ?')
    .bind('https://relay.test', account.id, id)
    .run();
  return id;
}

async function plannedRanges(id: string, limit: number): Promise<Range[]> {
  const ranges: Range[] = [];
  for (let after: string | undefined; ; ) {
    const plan = await broadcastJobs.planPage(jobOf(id), { limit, ...(after !== undefined && { after }) });
    if ('kind' in plan) throw new Error(JSON.stringify(plan));
    if (!plan.range) return ranges;
    ranges.push(plan.range);
    after = plan.range.upTo;
  }
}

async function composed(id: string, page: Page) {
  const made = await broadcastJobs.composePage(jobOf(id), page);
  if ('kind' in made) throw new Error(JSON.stringify(made));
  const keys = (await findAccountState(bindings, scope()))?.dataKeys ?? [];
  return {
    skipped: made.skipped,
    messages: made.messages.map((message) => {
      const identity = { accountId: account.id, id: message.id };
      return {
        ...message,
        summary: openSummary(keys, identity, message.summary),
        head: openHead(keys, identity, message.head),
      };
    }),
  };
}

const addressesOf = ({ messages }: Awaited<ReturnType<typeof composed>>) =>
  messages.map(({ summary }) => summary.to[0]?.address ?? '').sort();

let list: string;
let everybody: string[];
beforeAll(async () => {
  account = await createAccount();
  await letSend(account, 'acme.example', inject('smtpPort'));
  list = await made('/v1/lists', { name: 'Readers' });
  const people = Array.from({ length: 23 }, (_, n) => ({ email: `p${n}@example.com`, first_name: `P${n}` }));
  await put(people, list);
  everybody = people.map(({ email }) => email).sort();
  // People of the account who are not meant lie between those who are.
  await made('/v1/contacts', { email: 'elsewhere@example.com' });
  await put([{ email: 'no@example.com', unsubscribed: true }], list);
});

describe('the pages of a broadcast', () => {
  it('have everybody once, whatever their size, and are the same when they are made again', async () => {
    const id = await handedOver(list);
    expect(await broadcastJobs.countRecipients(jobOf(id))).toEqual({ counted: 23 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 63 }),
        async (limit, shard) => {
          const ranges = await plannedRanges(id, limit);
          expect(ranges.length).toBe(Math.ceil(23 / limit));
          const found: string[] = [];
          for (const range of ranges) {
            const page = { range, shard, atMs: 1_800_000_000_000 };
            const first = await composed(id, page);
            expect(first.messages.length).toBeLessThanOrEqual(limit);
            const ids = first.messages.map((message) => message.id);
            expect(ids).toEqual([...ids].sort());
            for (const message of first.messages) {
              expect(parseMessageId(message.id)).toEqual({ createdAtMs: page.atMs, shard });
              expect(message).toMatchObject({ broadcastId: id, recipientCount: 1 });
            }
            const again = await composed(id, page);
            expect(again.messages.map(({ id, summary }) => [id, summary])).toEqual(
              first.messages.map(({ id, summary }) => [id, summary]),
            );
            found.push(...addressesOf(first));
          }
          expect(found.sort()).toEqual(everybody);
        },
      ),
      { numRuns: 6 },
    );
  });

  it('are about those who are on the list when they are made', async () => {
    const own = await made('/v1/lists', { name: 'Changing' });
    const people = ['a', 'b', 'c', 'd'].map((name) => ({ email: `${name}@changing.example` }));
    const [, b = '', c = ''] = await put(people, own);
    const id = await handedOver(own);
    const [range, ...others] = await plannedRanges(id, 100);
    expect([range, others]).toEqual([expect.anything(), []]);
    await ask(`/v1/contacts/${b}`, { unsubscribed: true }, 'PATCH');
    await ask(`/v1/contacts/${c}/segments/${own}`, undefined, 'DELETE');
    await put([{ email: 'later@changing.example' }], own);
    const page = { range: range ?? { upTo: '' }, shard: 0, atMs: Date.now() };
    expect(addressesOf(await composed(id, page))).toEqual(['a@changing.example', 'd@changing.example']);
  });

  it('of a topic are for those who want it', async () => {
    const topic = await made('/v1/topics', { name: 'Rare', default_subscription: 'opt_out' });
    const own = await made('/v1/lists', { name: 'With a topic' });
    const [wanting = ''] = await put(
      [{ email: 'yes@topic.example' }, { email: 'unasked@topic.example' }],
      own,
    );
    await ask(`/v1/contacts/${wanting}/topics`, [{ id: topic, subscription: 'opt_in' }], 'PATCH');
    const id = await handedOver(own, { topic_id: topic });
    expect(await broadcastJobs.countRecipients(jobOf(id))).toEqual({ counted: 1 });
    const [range = { upTo: '' }] = await plannedRanges(id, 100);
    const { messages } = await composed(id, { range, shard: 0, atMs: Date.now() });
    expect(messages.map(({ summary }) => [summary.to[0]?.address, summary.topicId])).toEqual([
      ['yes@topic.example', topic],
    ]);
  });

  it('have the link to unsubscribe in the header of each message, and in its texts', async () => {
    const id = await handedOver(list, { html: '<a href="{{{unsubscribe_url}}}">end</a>' });
    const [range = { upTo: '' }] = await plannedRanges(id, 100);
    const { messages } = await composed(id, { range, shard: 0, atMs: Date.now() });
    const urls = messages.map(({ head }) => /href="([^"]+)"/.exec(head.html ?? '')?.[1]);
    expect(new Set(urls).size).toBe(23);
    for (const [index, { head }] of messages.entries()) {
      expect(head.headers).toEqual([
        { name: 'List-Unsubscribe', value: `<${urls[index]}>` },
        { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
      ]);
      expect(head.text).toContain(urls[index]);
    }
  });

  it('keep what a contact is called from beginning another header field or another element', async () => {
    await made('/v1/contact-properties', { key: 'bio', type: 'string' });
    const own = await made('/v1/lists', { name: 'Hostile' });
    const bio = 'x\r\nBcc: victim@example.com\r\n\r\n<b>\u0000"\u2028';
    await put([{ email: 'mallory@example.com', first_name: '"><img>', properties: { bio } }], own);
    const parts = {
      subject: 'Re: {{{contact.bio}}}',
      html: '<p title="{{contact.first_name}}">{{contact.bio}}</p>',
    };
    const id = await handedOver(own, parts);
    const [range = { upTo: '' }] = await plannedRanges(id, 100);
    const { messages } = await composed(id, { range, shard: 0, atMs: Date.now() });
    const [message] = messages;
    expect(message?.summary.subject).toBe('Re: x Bcc: victim@example.com <b> "');
    expect(message?.head.html).toMatch(/^<p title="&quot;&gt;&lt;img&gt;">x\r\nBcc/);
    expect(message?.head.html).not.toContain('<b>');
    expect(message?.head.html).not.toContain('\0');
  });

  it('leave out whom no message can be made for, and count them', async () => {
    await made('/v1/contact-properties', { key: 'long', type: 'string' });
    const own = await made('/v1/lists', { name: 'Too much' });
    const long = { long: 'x'.repeat(2000) };
    await put([{ email: 'long@example.com', properties: long }, { email: 'short@example.com' }], own);
    const id = await handedOver(own, { html: '{{contact.long}}'.repeat(1000) });
    const [range = { upTo: '' }] = await plannedRanges(id, 100);
    const page = await composed(id, { range, shard: 0, atMs: Date.now() });
    expect([addressesOf(page), page.skipped]).toEqual([['short@example.com'], 1]);
  });

  it('leave nobody out for what the others take: they are divided', async () => {
    await made('/v1/contact-properties', { key: 'essay', type: 'string' });
    const own = await made('/v1/lists', { name: 'Essays' });
    const properties = { essay: 'x'.repeat(2000) };
    const people = Array.from({ length: 32 }, (_, n) => ({ email: `e${n}@essay.example`, properties }));
    await put(people, own);
    const id = await handedOver(own, { html: '{{contact.essay}}'.repeat(400), text: '' });
    const [range = { upTo: '' }, ...others] = await plannedRanges(id, 100);
    expect(others).toEqual([]);
    const page = { range, shard: 0, atMs: Date.now() };
    expect(await broadcastJobs.composePage(jobOf(id), page)).toEqual({ kind: 'too_large', recipients: 32 });
    const found: string[] = [];
    for (const half of await plannedRanges(id, 16)) {
      const part = await composed(id, { ...page, range: half });
      expect(part.skipped).toBe(0);
      found.push(...addressesOf(part));
    }
    expect(found.sort()).toEqual(people.map(({ email }) => email).sort());
  });

  it('are smaller where the messages are large', async () => {
    const id = await handedOver(list, { html: 'x'.repeat(400_000), text: '' });
    const ranges = await plannedRanges(id, 200);
    expect(ranges.length).toBe(3);
  });

  it('end for good with the domain, the list or the broadcast, and for now with the account', async () => {
    const own = await made('/v1/lists', { name: 'Going' });
    await put([{ email: 'going@example.com' }], own);
    const planned = (id: string) => broadcastJobs.planPage(jobOf(id), { limit: 10 });
    const ids = [await handedOver(own), await handedOver(list)];
    await ask(`/v1/lists/${own}`, undefined, 'DELETE');
    const failed = (reason: string) => ({ kind: 'failed', reason: expect.stringContaining(reason) });
    expect(await planned(ids[0] ?? '')).toEqual(failed('was deleted'));
    expect((await ask(`/v1/broadcasts/${ids[0]}`)).body).toMatchObject({ status: 'failed' });
    await env.DB.prepare('UPDATE broadcasts SET handed_over_at = NULL WHERE id = ?').bind(ids[1]).run();
    expect(await planned(ids[1] ?? '')).toEqual(failed('was changed or removed'));
    const foreign = {
      ...jobOf(await handedOver(list)),
      scope: scopeOfOutbox(env.DB, (await createAccount()).id),
    };
    expect(await broadcastJobs.planPage(foreign, { limit: 10 })).toMatchObject({ kind: expect.any(String) });
  });
});
