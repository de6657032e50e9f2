/** How long an account keeps what it sent: its settings, and what the API shows of it. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  call,
  callAsOperator,
  callsOf,
  createAccount,
  type JsonObject,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const DOMAIN = 'kept.example';
const GONE = { available: false, kept_until: null };

let account: TestAccount;
let testKey: string;
const { ask } = callsOf(() => account);
const keep = (retention: unknown, settings?: Record<string, string>) =>
  call('/v1/account', { method: 'PATCH', key: account.key, body: { retention }, settings });
const email = (to: string, more: JsonObject = {}) => ({
  from: `a@${DOMAIN}`,
  to,
  subject: 'A subject',
  text: 'A text',
  attachments: [{ filename: 'a.txt', content: 'QQ==' }],
  ...more,
});
const read = async (id: string) => jsonOf(await call(`/v1/emails/${id}`, { key: testKey }));

async function send(to: string, more?: JsonObject): Promise<string> {
  const response = await call('/v1/emails', { key: testKey, body: email(to, more) });
  expect(response.status).toBe(200);
  return textAt(await jsonOf(response), 'id');
}

async function sendUntil(event: string, to: string, more?: JsonObject): Promise<string> {
  const id = await send(to, more);
  await vi.waitFor(async () => expect(textAt(await read(id), 'last_event')).toBe(event), { timeout: 10_000 });
  return id;
}

beforeAll(async () => {
  account = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${account.id}/domains/${DOMAIN}`, { method: 'PUT', body: {} });
  testKey = textAt((await ask('/v1/api-keys', { name: 'Test', mode: 'test' })).body, 'token');
});

describe('the retention of an account', () => {
  it('is that of the deployment until it says otherwise, and again after null', async () => {
    const shown = async () => (await ask('/v1/account')).body.retention;
    expect(await shown()).toEqual({ body_days: 7, metadata_days: 30 });
    expect((await jsonOf(await keep({ body_days: 3 }))).retention).toEqual({
      body_days: 3,
      metadata_days: 30,
    });
    expect((await jsonOf(await keep({ metadata_days: 2, body_days: null }))).retention).toEqual({
      body_days: 2,
      metadata_days: 2,
    });
    expect(await shown()).toEqual({ body_days: 2, metadata_days: 2 });
    await keep({ metadata_days: null });
    expect(await shown()).toEqual({ body_days: 7, metadata_days: 30 });
    const { results } = await env.DB.prepare(
      `SELECT details FROM audit_log WHERE "account_id" = ? AND action = 'account.updated' ORDER BY id`,
    )
      .bind(account.id)
      .all<{ details: string }>();
    expect(results.map(({ details }) => JSON.parse(details))).toContainEqual({
      renamed: false,
      body_days: null,
      metadata_days: 2,
    });
  });

  it.each([
    [{ body_days: 8 }, 'retention.body_days', 'at most 7 days'],
    [{ metadata_days: 31 }, 'retention.metadata_days', 'at most 30 days'],
    [{ body_days: 5, metadata_days: 4 }, 'retention.body_days', 'no longer than metadata'],
    [{ metadata_days: 0 }, 'retention.metadata_days', ''],
    [{ body_days: -1 }, 'retention.body_days', ''],
    [{ body_days: 1.5 }, 'retention.body_days', ''],
    [{ event_days: 1 }, 'event_days', ''],
  ])('%j is refused by name, and changes nothing', async (wanted, field, reason) => {
    const response = await keep(wanted);
    const said = await jsonOf(response);
    expect([response.status, said.name]).toEqual([422, 'invalid_parameter']);
    expect(said.message).toContain(field);
    expect(said.message).toContain(reason);
    expect((await ask('/v1/account')).body.retention).toEqual({ body_days: 7, metadata_days: 30 });
  });

  it('goes no further than the deployment, whose settings may have become stricter', async () => {
    const strict = { BODY_RETENTION_DAYS: '2', METADATA_RETENTION_DAYS: '5' };
    await keep({ body_days: 4, metadata_days: 20 });
    const response = await call('/v1/account', { key: account.key, settings: strict });
    expect((await jsonOf(response)).retention).toEqual({ body_days: 2, metadata_days: 5 });
    expect((await keep({ body_days: 3 }, strict)).status).toBe(422);
    await keep({ body_days: null, metadata_days: null });
  });
});

describe('what is still there', () => {
  it('is told with the email: content with its day, counted from the day it is for', async () => {
    const today = Math.floor(Date.now() / DAY_MS);
    const day = (n: number) => new Date((today + n) * DAY_MS).toISOString();
    const id = await sendUntil('delivered', 'ann@example.com');
    const sent = await read(id);
    expect(sent).toMatchObject({ text: 'A text', content: { available: true } });
    // The day may have changed since it was sent.
    expect([day(8), day(9)]).toContain(textAt(sent, 'content', 'kept_until'));
    const scheduled = await send('ann@example.com', {
      scheduled_at: new Date(Date.now() + DAY_MS).toISOString(),
    });
    expect(await read(scheduled)).toMatchObject({ content: { available: true, kept_until: null } });
    await call(`/v1/emails/${scheduled}/cancel`, { key: account.key, method: 'POST' });
    expect([day(9), day(10)]).toContain(textAt(await read(scheduled), 'content', 'kept_until'));
  });

  it('with 0 days content goes with the end of a message, also of what had ended, and the list stays', async () => {
    const before = await sendUntil('delivered', 'ann@example.com');
    const waits = await sendUntil('delivery_delayed', 'deferred@test.edge-relay.invalid');
    await keep({ body_days: 0 });
    expect(await read(before)).toMatchObject({ text: null, content: GONE, subject: 'A subject' });
    const scheduledAt = new Date(Date.now() + DAY_MS).toISOString();
    const scheduled = await send('ann@example.com', { scheduled_at: scheduledAt });
    const after = await sendUntil('delivered', 'ann@example.com');
    const bounced = await sendUntil('bounced', 'bounced@test.edge-relay.invalid');
    for (const id of [after, bounced]) {
      expect(await read(id)).toMatchObject({ text: null, html: null, content: GONE });
      const gone = await call(`/v1/emails/${id}/attachments`, { key: account.key });
      expect([gone.status, textAt(await jsonOf(gone), 'code')]).toEqual([410, 'content_gone']);
    }
    for (const id of [waits, scheduled]) {
      expect(await read(id)).toMatchObject({
        text: 'A text',
        content: { available: true, kept_until: null },
      });
    }
    await call(`/v1/emails/${scheduled}/cancel`, { key: account.key, method: 'POST' });
    expect(await read(scheduled)).toMatchObject({ text: null, content: GONE, last_event: 'canceled' });
    const { data } = await jsonOf(await call('/v1/emails?limit=100', { key: account.key }));
    const listed = (data as JsonObject[]).map(({ id }) => id);
    expect(listed).toEqual(expect.arrayContaining([before, after, bounced, waits, scheduled]));
  });

  it('is remembered by the object, for a sweep while nobody can be asked', async () => {
    const stub = env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`));
    const remembered = await runInDurableObject(stub, (_instance, state) =>
      state.storage.sql.exec("SELECT value FROM meta WHERE name = 'retention'").one(),
    );
    expect(JSON.parse(String(remembered.value))).toEqual({ bodyDays: 0, metadataDays: 30 });
  });
});
