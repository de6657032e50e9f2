/** The registry of objects, and the sweep that wakes those whose alarm was lost. */
import {
  createExecutionContext,
  createScheduledController,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, inject, it, vi } from 'vitest';
import type { Env } from '../../src/env.ts';
import { newId, newMessageId } from '../../src/ids.ts';
import { outboxOf } from '../../src/outbox/client.ts';
import { sweepOutboxes } from '../../src/services/sweep-outboxes.ts';
import { scopeOfOutbox } from '../../src/store/db.ts';
import { registerOutbox } from '../../src/store/outboxes.ts';
import worker from '../../src/worker.ts';
import {
  call,
  callAsOperator,
  createAccount,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const settings = env as unknown as Env;
const email = { from: 'a@sweep.example', to: 'b@example.net', subject: 'A subject', text: 'A text' };

interface Row {
  readonly shard: number;
  readonly swept_at: number;
}

async function rowsOf(accountId: string): Promise<Row[]> {
  const statement = env.DB.prepare(
    'SELECT shard, swept_at FROM outboxes WHERE "account_id" = ? ORDER BY shard',
  );
  return (await statement.bind(accountId).all<Row>()).results;
}

async function sendingAccount(): Promise<TestAccount> {
  const made = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${made.id}/domains/sweep.example`, { method: 'PUT', body: {} });
  const relay = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  await call('/v1/relays', { key: made.key, body: relay });
  return made;
}

async function runCron(): Promise<void> {
  const context = createExecutionContext();
  await worker.scheduled(createScheduledController({ cron: '17 * * * *' }), settings);
  await waitOnExecutionContext(context);
}

function objectOf(accountId: string, shard = 0) {
  return env.OUTBOX.get(env.OUTBOX.idFromName(`${accountId}/${shard}`));
}

function alarmOf(accountId: string, shard = 0): Promise<number | null> {
  return runInDurableObject(objectOf(accountId, shard), (_outbox, state) => state.storage.getAlarm());
}

async function lastEvent(account: TestAccount, id: string): Promise<string> {
  return textAt(await jsonOf(await call(`/v1/emails/${id}`, { key: account.key })), 'last_event');
}

/** For what happens after an answer, and is told to nobody. */
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 4000, interval: 20 });

describe('the registry', () => {
  it('has one row for an object that was written to, however often it was', async () => {
    expect(await rowsOf((await createAccount()).id)).toEqual([]);
    const account = await sendingAccount();
    await call('/v1/emails', { key: account.key, body: email });
    await eventually(async () => expect(await rowsOf(account.id)).toEqual([{ shard: 0, swept_at: 0 }]));
    await call('/v1/emails', { key: account.key, body: email });
    const scope = scopeOfOutbox(env.DB, account.id);
    await registerOutbox(scope, 0, 1);
    await registerOutbox(scope, 5, 1);
    expect((await rowsOf(account.id)).map((row) => row.shard)).toEqual([0, 5]);
  });

  it('takes no object of an account that does not exist', async () => {
    await expect(registerOutbox(scopeOfOutbox(env.DB, newId('account')), 0, 1)).rejects.toThrow();
  });

  it('is tried again by the alarm where D1 refused the row', async () => {
    const accountId = newId('account');
    const message = {
      id: newMessageId(2),
      recipientCount: 1,
      summary: new Uint8Array(),
      head: [],
      attachments: [],
    };
    const outbox = outboxOf(settings, accountId, 2);
    await outbox.accept({ accountId, keyId: 'key_x', messages: [message] });
    await eventually(async () => expect(await alarmOf(accountId, 2)).not.toBeNull());
    expect(await rowsOf(accountId)).toEqual([]);
    const insert = env.DB.prepare(
      "/* raw */ INSERT INTO accounts (account_id, name, status, created_at, updated_at) VALUES (?, 'x', 'suspended', 0, 0)",
    );
    await insert.bind(accountId).run();
    await runDurableObjectAlarm(objectOf(accountId, 2));
    await eventually(async () => expect(await rowsOf(accountId)).toEqual([{ shard: 2, swept_at: 0 }]));
  });
});

describe('the sweep', () => {
  it('takes a bounded number, longest unswept first, and goes on where it ended', async () => {
    await env.DB.prepare('/* raw */ DELETE FROM outboxes').run();
    const { id } = await createAccount();
    for (const shard of [0, 1, 2, 3, 4]) await registerOutbox(scopeOfOutbox(env.DB, id), shard, 1);
    const swept = async () => (await rowsOf(id)).map((row) => row.swept_at > 0);
    await sweepOutboxes(settings, { perRun: 2 });
    expect(await swept()).toEqual([true, true, false, false, false]);
    await sweepOutboxes(settings, { perRun: 2 });
    expect(await swept()).toEqual([true, true, true, true, false]);
    await env.DB.prepare('/* raw */ UPDATE outboxes SET swept_at = 1 WHERE shard = 3').run();
    await sweepOutboxes(settings, { perRun: 2 });
    expect((await rowsOf(id)).every((row) => row.swept_at > 1)).toBe(true);
  });

  it('has an object that lost its alarm deliver what it has', async () => {
    const account = await sendingAccount();
    // Suspended behind the back of this isolate, which read the account just now and goes on accepting.
    await (await call('/v1/emails', { key: account.key })).arrayBuffer();
    const setStatus = env.DB.prepare('/* raw */ UPDATE accounts SET status = ? WHERE account_id = ?');
    await setStatus.bind('suspended', account.id).run();
    await outboxOf(settings, account.id).refresh();
    const waiting = textAt(await jsonOf(await call('/v1/emails', { key: account.key, body: email })), 'id');
    await eventually(async () => expect(await rowsOf(account.id)).toHaveLength(1));
    await eventually(async () => expect(await alarmOf(account.id)).not.toBeNull());
    await runInDurableObject(objectOf(account.id), (_outbox, state) => state.storage.deleteAlarm());
    await evictDurableObject(objectOf(account.id));
    await setStatus.bind('active', account.id).run();
    expect(await alarmOf(account.id)).toBeNull();
    expect(await lastEvent(account, waiting)).toBe('queued');

    await runCron();
    await eventually(async () => expect(await lastEvent(account, waiting)).toBe('delivered'));
    expect(await alarmOf(account.id)).not.toBeNull();
  });

  it('sets an alarm that was lost while the object was there', async () => {
    const account = await sendingAccount();
    await call('/v1/emails', { key: account.key, body: email });
    await eventually(async () => expect(await alarmOf(account.id)).not.toBeNull());
    await eventually(async () => expect(await rowsOf(account.id)).toHaveLength(1));
    await runInDurableObject(objectOf(account.id), (_outbox, state) => state.storage.deleteAlarm());
    await runCron();
    expect(await alarmOf(account.id)).not.toBeNull();
  });
});
