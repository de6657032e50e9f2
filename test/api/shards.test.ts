/** Accounts with several shards: ids, claims, and what a request that was cut short leaves behind. */
import { listDurableObjectIds } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, inject, it } from 'vitest';
import { keyedHash } from '../../src/crypto/seal.ts';
import type { Env } from '../../src/env.ts';
import { newMessageId, parseMessageId } from '../../src/ids.ts';
import { outboxOf, recipientsOf, sealMessage } from '../../src/outbox/client.ts';
import { findAccountState } from '../../src/services/account-state.ts';
import { readEmail } from '../../src/services/email-input.ts';
import { operatorContext } from '../../src/services/service-context.ts';
import {
  call,
  callAsOperator,
  createAccount,
  jsonOf,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const settings = env as unknown as Env;
const email = { from: 'a@shard.example', to: 'b@example.net', subject: 'A subject', text: 'A text' };
const DAY_MS = 24 * 60 * 60 * 1000;

async function account(shards = 1): Promise<TestAccount> {
  const made = await createAccount();
  const path = `/v1/admin/accounts/${made.id}`;
  await callAsOperator(`${path}/domains/shard.example`, { method: 'PUT', body: {} });
  const relay = { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' };
  await call('/v1/relays', { key: made.key, body: relay });
  if (shards > 1) expect((await setShards(made, shards)).status).toBe(200);
  return made;
}

function setShards({ id }: TestAccount, shards: unknown): Promise<Response> {
  return callAsOperator(`/v1/admin/accounts/${id}`, { method: 'PATCH', body: { shards } });
}

async function send({ key }: TestAccount, body: object = email, idempotencyKey?: string) {
  const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
  const response = await call('/v1/emails', { key, body, headers });
  return { status: response.status, body: await jsonOf(response) };
}

async function listedIds({ key }: TestAccount): Promise<string[]> {
  const { data } = await jsonOf(await call('/v1/emails?limit=100', { key }));
  return (data as { id: string }[]).map((row) => row.id);
}

/** What the Worker hands to an Outbox for this email, under an id that the test chooses. */
async function sealedUnder(owner: TestAccount, id: string, idempotencyKey = '') {
  const { scope } = operatorContext(settings, owner.id, 'req_test');
  const state = await findAccountState(settings, scope);
  const key = state?.dataKeys[0];
  if (!key) throw new Error('no data key');
  const draft = readEmail(email);
  const summary = { ...draft.summary, envelopeFrom: draft.summary.from.address };
  const { fingerprint, ...sealed } = await sealMessage(
    key,
    { accountId: owner.id, id },
    { summary, head: draft.head, attachments: [] },
    key,
  );
  const hash = (purpose: string, value: Uint8Array | string) =>
    Buffer.from(keyedHash(key, purpose, value)).toString('base64');
  return {
    request: {
      accountId: owner.id,
      keyId: owner.keyId,
      messages: [{ id, recipientCount: recipientsOf(summary).length, ...sealed }],
    },
    claim: {
      keyHash: hash('idempotency', idempotencyKey),
      fingerprint: hash('fingerprints', fingerprint ?? ''),
    },
  };
}

/** As a Worker that stopped between its two calls leaves it. */
async function claimOnly(owner: TestAccount, idempotencyKey: string, id = newMessageId(3)): Promise<string> {
  const { claim } = await sealedUnder(owner, id, idempotencyKey);
  const request = { accountId: owner.id, keyId: owner.keyId, claim, ids: [id] };
  expect((await outboxOf(settings, owner.id, 0).claim(request)).kind).toBe('new');
  return id;
}

describe('the number of shards', () => {
  it('is raised by the operator, never lowered, and each change is audited once', async () => {
    const owner = await account();
    expect(textAt(await jsonOf(await setShards(owner, 4)), 'shards')).toBe('4');
    expect((await setShards(owner, 4)).status).toBe(200);
    const lowered = await setShards(owner, 3);
    expect([lowered.status, textAt(await jsonOf(lowered), 'message')]).toEqual([
      409,
      'The number of shards can only be raised.',
    ]);
    for (const wrong of [0, 65, 1.5, '2', undefined])
      expect((await setShards(owner, wrong)).status).toBe(422);
    const { results } = await env.DB.prepare(
      'SELECT details FROM audit_log WHERE "account_id" = ? AND action = \'account.shards_raised\'',
    )
      .bind(owner.id)
      .all();
    expect(results).toEqual([{ details: '{"shards":4}' }]);
  });

  it('is not found for an unknown account, and a closed one keeps its number', async () => {
    const owner = await createAccount();
    expect((await setShards({ ...owner, id: 'acc_00000000000000000000000000' }, 2)).status).toBe(404);
    await callAsOperator(`/v1/admin/accounts/${owner.id}/close`, { method: 'POST' });
    expect((await setShards(owner, 2)).status).toBe(409);
  });

  it('spreads mail over all shards, and a batch stays in one', async () => {
    const owner = await account(2);
    const shards = new Set<number | undefined>();
    for (let index = 0; index < 24; index++) {
      shards.add(parseMessageId(textAt((await send(owner)).body, 'id'))?.shard);
    }
    expect([...shards].sort()).toEqual([0, 1]);
    const batch = await jsonOf(
      await call('/v1/emails/batch', { key: owner.key, body: Array.from({ length: 8 }, () => email) }),
    );
    const ids = (batch.data as { id: string }[]).map((row) => row.id);
    expect(new Set(ids.map((id) => parseMessageId(id)?.shard)).size).toBe(1);
  });
});

describe('the id of a message', () => {
  it('in a shard that this isolate does not know of yet is read', async () => {
    const owner = await account();
    expect(await listedIds(owner)).toEqual([]);
    const raise = env.DB.prepare('/* raw */ UPDATE accounts SET shards = 4 WHERE account_id = ?');
    await raise.bind(owner.id).run();
    const id = newMessageId(3);
    const { request } = await sealedUnder(owner, id);
    expect((await outboxOf(settings, owner.id, 3).accept(request)).outcome).toBe('accepted');
    expect((await call(`/v1/emails/${id}`, { key: owner.key })).status).toBe(200);
    expect(await listedIds(owner)).toEqual([id]);
  });

  it('of shard 3 of another account is not found, byte for byte like a missing one', async () => {
    const owner = await account(4);
    const foreign = newMessageId(3);
    const { request } = await sealedUnder(owner, foreign);
    await outboxOf(settings, owner.id, 3).accept(request);
    expect((await call(`/v1/emails/${foreign}`, { key: owner.key })).status).toBe(200);
    for (const stranger of [await account(), await account(4)]) {
      const answers = [];
      for (const id of [foreign, newMessageId(3)]) {
        const response = await call(`/v1/emails/${id}`, { key: stranger.key });
        answers.push({ ...(await jsonOf(response)), request_id: '' });
      }
      expect(answers[0]).toMatchObject({ statusCode: 404 });
      expect(answers[0]).toEqual(answers[1]);
      expect(await (await call(`/v1/emails?after=${foreign}`, { key: stranger.key })).text()).not.toContain(
        foreign,
      );
    }
  });

  it('of a shard that the account does not have calls no object', async () => {
    const owner = await account(2);
    const before = (await listDurableObjectIds(env.OUTBOX)).length;
    for (const shard of [2, 63, 1000]) {
      expect((await call(`/v1/emails/${newMessageId(shard)}`, { key: owner.key })).status).toBe(404);
    }
    expect((await listDurableObjectIds(env.OUTBOX)).length).toBe(before);
  });
});

describe('a claim without its message', () => {
  it('is fulfilled under the claimed id when the request is repeated, once', async () => {
    const owner = await account(4);
    const id = await claimOnly(owner, 'cut short');
    for (let repeat = 0; repeat < 3; repeat++) {
      expect(await send(owner, email, 'cut short')).toMatchObject({ status: 200, body: { id } });
    }
    expect(await listedIds(owner)).toEqual([id]);
  });

  it('is fulfilled also by an isolate that knows one shard only', async () => {
    const owner = await account();
    expect(await listedIds(owner)).toEqual([]);
    const id = await claimOnly(owner, 'stale');
    expect(await send(owner, email, 'stale')).toMatchObject({ status: 200, body: { id } });
    expect(await send(owner, { ...email, subject: 'Other' }, 'stale')).toMatchObject({ status: 409 });
  });

  it('gives its key to another request, and its id is void from then on', async () => {
    const owner = await account(4);
    const id = await claimOnly(owner, 'given away');
    const other = { ...email, subject: 'Another' };
    const sent = await send(owner, other, 'given away');
    expect(sent.status).toBe(200);
    expect(sent.body.id).not.toBe(id);
    // The first request, still on its way all the while.
    const { request } = await sealedUnder(owner, id);
    const late = await outboxOf(settings, owner.id, 3).accept({ ...request, isClaimed: true });
    expect(late.outcome).toBe('fenced');
    expect((await send(owner, email, 'given away')).status).toBe(409);
    expect(await listedIds(owner)).toEqual([sent.body.id]);
  });

  it('keeps its key once its message is there', async () => {
    const owner = await account(4);
    const id = await claimOnly(owner, 'kept');
    const { request } = await sealedUnder(owner, id);
    await outboxOf(settings, owner.id, 3).accept({ ...request, isClaimed: true });
    expect((await send(owner, { ...email, subject: 'Another' }, 'kept')).status).toBe(409);
    expect(await send(owner, email, 'kept')).toMatchObject({ status: 200, body: { id } });
    expect(await listedIds(owner)).toEqual([id]);
  });

  it('of an id that the ledger takes no more is made anew', async () => {
    const owner = await account(4);
    const id = await claimOnly(owner, 'old', newMessageId(3, Date.now() - 2 * DAY_MS));
    const sent = await send(owner, email, 'old');
    expect(sent.status).toBe(200);
    expect(sent.body.id).not.toBe(id);
    expect((await send(owner, email, 'old')).body.id).toBe(sent.body.id);
    expect(await listedIds(owner)).toEqual([sent.body.id]);
  });

  it('past the retention of messages is repeated as it is: its message may have been there', async () => {
    const owner = await account(4);
    const id = await claimOnly(owner, 'past', newMessageId(3, Date.now() - 40 * DAY_MS));
    expect(await send(owner, email, 'past')).toMatchObject({ status: 200, body: { id } });
    expect((await send(owner, { ...email, subject: 'Another' }, 'past')).status).toBe(409);
    expect(await listedIds(owner)).toEqual([]);
  });

  it('is released for its own ids only', async () => {
    const owner = await account(4);
    const id = await claimOnly(owner, 'mine');
    const { claim } = await sealedUnder(owner, id, 'mine');
    const shard0 = outboxOf(settings, owner.id, 0);
    await shard0.releaseClaim(claim.keyHash, [newMessageId(3)]);
    expect(await send(owner, email, 'mine')).toMatchObject({ status: 200, body: { id } });
  });
});
