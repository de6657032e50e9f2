/** What is told of a broadcast after it was sent: its emails, its events, and its counts once the emails are gone. */
import { runDurableObjectAlarm } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { broadcastCalls } from '../support/broadcast-calls.ts';
import {
  createAccount,
  type JsonObject,
  letSend,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

let account: TestAccount;
let people: string;
const { ask, created, made, listOf, untilOver, read } = broadcastCalls(() => account);
const dataOf = async (path: string) => (await ask(path)).body.data as readonly JsonObject[];

beforeAll(async () => {
  account = await createAccount();
  await made('/v1/suppressions', { email: 'no@example.com' });
  await letSend(account, 'acme.example', inject('smtpPort'));
  people = await listOf(['a', 'b', 'no'].map((name) => ({ email: `${name}@example.com` })));
});

describe('the emails of a broadcast', () => {
  it('are found by it, and theirs alone; every event of them names it', async () => {
    const [one, other] = [await created(people, { send: true }), await created(people, { send: true })];
    for (const id of [one, other]) await untilOver(id);
    const email = { from: 'a@acme.example', to: 'a@example.com', subject: 'Single', text: 'Single' };
    const single = textAt((await ask('/v1/emails', email)).body, 'id');
    await vi.waitFor(
      async () => expect((await ask(`/v1/emails/${single}`)).body.last_event).toBe('delivered'),
      { timeout: 10_000 },
    );
    const idsOf = async (query: string) =>
      (await dataOf(`/v1/emails?limit=100&${query}`)).map(({ id }) => String(id));
    const emails = {
      [one]: await idsOf(`broadcast_id=${one}`),
      [other]: await idsOf(`broadcast_id=${other}`),
    };
    expect(Object.values(emails).map((ids) => ids.length)).toEqual([3, 3]);
    const all = [single, ...Object.values(emails).flat()];
    expect((await idsOf('')).sort()).toEqual(all.sort());
    expect(await idsOf(`broadcast_id=${one}&status=suppressed`)).toHaveLength(1);
    expect(await idsOf(`broadcast_id=${one}&recipient=b@example.com`)).toHaveLength(1);
    const events = (await dataOf('/v1/events?limit=100')).filter(({ type }) =>
      textAt(type).startsWith('email.'),
    );
    const told = events.map(({ type, data }) => [
      type,
      textAt(data, 'email_id'),
      Reflect.get(Object(data), 'broadcast_id'),
    ]);
    for (const id of [one, other]) {
      const of = told.filter(([, , broadcast]) => broadcast === id);
      expect(new Set(of.map(([, email_id]) => email_id))).toEqual(new Set(emails[id]));
      const types = of.map(([type]) => type);
      expect(types.filter((type) => type === 'email.delivered')).toHaveLength(2);
      expect(types.filter((type) => type === 'email.suppressed')).toHaveLength(1);
    }
    const ofSingle = told.filter(([, id]) => id === single);
    expect(ofSingle.length).toBeGreaterThan(0);
    for (const [, , broadcast] of ofSingle) expect(broadcast).toBeUndefined();
  });
});

describe('the counts of a broadcast', () => {
  afterEach(() => vi.useRealTimers());

  it('stay the same when what it said is gone, and when its emails are', async () => {
    const id = await created(people, { send: true });
    const { progress } = await untilOver(id);
    const sum = { total: 3, queued: 3, delivered: 2, suppressed: 1, failed: 0, canceled: 0, skipped: 0 };
    expect(progress).toMatchObject(sum);
    const [email] = await dataOf(`/v1/emails?broadcast_id=${id}&status=delivered`);
    await ask('/v1/account', { retention: { body_days: 0, metadata_days: 2 } }, 'PATCH');
    expect((await ask(`/v1/emails/${textAt(email, 'id')}`)).body).toMatchObject({
      html: null,
      content: { available: false },
      broadcast_id: id,
    });
    expect((await read(id)).progress).toEqual(progress);
    vi.useFakeTimers({ toFake: ['Date'] });
    vi.setSystemTime(Date.now() + 4 * DAY_MS);
    await runDurableObjectAlarm(env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`)));
    expect(await dataOf(`/v1/emails?broadcast_id=${id}`)).toEqual([]);
    expect(await dataOf(`/v1/broadcasts/${id}/recipients?type=sent`)).toEqual([]);
    expect(await read(id)).toMatchObject({ status: 'sent', progress });
    expect((await dataOf('/v1/broadcasts')).find((one) => one.id === id)).toMatchObject({ status: 'sent' });
  });
});
