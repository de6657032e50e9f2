/** An object that has nothing to do is not woken for it: each alarm is paid for. */
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { expect, inject, it, vi } from 'vitest';
import { call, callAsOperator, createAccount, jsonOf, textAt } from '../support/control-plane.ts';

const HOUR_MS = 3_600_000;

it('lies a day away once all is delivered, also after it has come', async () => {
  const account = await createAccount();
  await callAsOperator(`/v1/admin/accounts/${account.id}/domains/idle.example`, { method: 'PUT', body: {} });
  const relay = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  await call('/v1/relays', { key: account.key, body: relay });
  const email = { from: 'a@idle.example', to: 'b@example.net', subject: 'A subject', text: 'A text' };
  const sent = await jsonOf(await call('/v1/emails', { key: account.key, body: email }));
  const id = textAt(sent, 'id');
  await vi.waitFor(
    async () => {
      const found = await jsonOf(await call(`/v1/emails/${id}`, { key: account.key }));
      expect(textAt(found, 'last_event')).toBe('delivered');
    },
    { timeout: 8000, interval: 20 },
  );
  const object = env.OUTBOX.get(env.OUTBOX.idFromName(`${account.id}/0`));
  const alarmIn = () =>
    runInDurableObject(
      object,
      async (_outbox, state) => ((await state.storage.getAlarm()) ?? 0) - Date.now(),
    );
  // The first alarm may still be the watchdog of the time when there was work; each one after it must be far away.
  await vi.waitFor(
    async () => {
      await runDurableObjectAlarm(object);
      expect(await alarmIn()).toBeGreaterThan(23 * HOUR_MS);
    },
    { timeout: 20_000, interval: 200 },
  );
  await runDurableObjectAlarm(object);
  expect(await alarmIn()).toBeGreaterThan(23 * HOUR_MS);
  expect(await alarmIn()).toBeLessThanOrEqual(24 * HOUR_MS);
});
