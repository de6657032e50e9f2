/** An account outgrows one object: what is true before, while and after its shards are raised. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newMessageId, parseMessageId } from '../../src/ids.ts';
import type { LedgerMessage, MessagePage } from '../../src/outbox/client.ts';
import { chooseShard, mergePages, shareOf } from '../../src/outbox/shards.ts';
import { ApiClient, openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';

const email = { from: 'sender@example.com', to: 'one@example.net', subject: 'A subject', text: 'A text' };

describe('the shard of a request', () => {
  test('is one that the account has, and each is as likely', () => {
    for (let shards = 1; shards <= 64; shards++) {
      const chosen = Array.from({ length: shards }, (_, index) =>
        chooseShard(shards, (index + 0.5) / shards),
      );
      expect(new Set(chosen).size).toBe(shards);
      expect(chooseShard(shards, 1 - Number.EPSILON / 2)).toBe(shards - 1);
    }
  });

  test('has an equal part of a limit, and never none', () => {
    expect([shareOf(100, 1), shareOf(100, 3), shareOf(10, 64)]).toEqual([100, 34, 1]);
  });
});

describe('pages of several shards', () => {
  const message = (id: string) => ({ id }) as unknown as LedgerMessage;
  /** As the ledger of one shard answers. */
  const pageOf = (
    ids: readonly string[],
    { limit, after, before }: { limit: number; after?: string; before?: string },
  ): MessagePage => {
    const newestFirst = [...ids].sort().reverse();
    const found = newestFirst.filter((id) =>
      before === undefined ? after === undefined || id < after : id > before,
    );
    const shown = before === undefined ? found.slice(0, limit) : found.slice(-limit);
    return { messages: shown.map(message), hasMore: found.length > limit };
  };

  test('make the page that one shard with all of it would have made', () => {
    const moment = fc.record({
      atMs: fc.integer({ min: 1, max: 40 }),
      shard: fc.integer({ min: 0, max: 3 }),
    });
    const request = fc.record({
      limit: fc.integer({ min: 1, max: 12 }),
      cursor: fc.constantFrom<'after' | 'before' | 'none'>('after', 'before', 'none'),
      at: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(moment, { maxLength: 40 }), request, (moments, { limit, cursor, at }) => {
        const ids = moments.map(({ shard, atMs }) => newMessageId(shard, atMs));
        const edge = ids[at % Math.max(1, ids.length)] ?? newMessageId(0);
        const page = { limit, ...(cursor !== 'none' && { [cursor]: edge }) };
        const shards = [0, 1, 2, 3].map((shard) => ids.filter((id) => parseMessageId(id)?.shard === shard));
        const merged = mergePages(
          shards.map((own) => pageOf(own, page)),
          page,
        );
        expect(merged).toEqual(pageOf(ids, page));
      }),
    );
  });
});

describe('raising the number of shards', () => {
  let relay: RelayUnderTest;
  let smtp: ScriptedServer;
  let operator: ApiClient;
  let isOpen = false;

  beforeAll(async () => {
    smtp = await startScriptedServer({
      pipelining: true,
      hooks: { BANNER: () => (isOpen ? undefined : { close: true }) },
    });
    relay = await startRelay({
      quiet: true,
      settings: {
        // A shard of four has 30 of it: more than all that the first test sends, so none is full by chance.
        BACKLOG_LIMIT: '120',
        KEY_MESSAGES_PER_SECOND: '10000',
        RETRY_FIRST_MS: '200',
        RETRY_MAX_MS: '400',
        WATCHDOG_MS: '500',
        SESSION_IDLE_MS: '100',
      },
    });
    operator = new ApiClient(relay.url, ADMIN_TOKEN);
  });

  afterAll(async () => {
    await relay.stop();
    await smtp.close();
  });

  const account = () => openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } });
  const raise = ({ id }: TestAccount, shards: number) =>
    operator.call('PATCH', `/v1/admin/accounts/${id}`, { shards });
  const withKey = (key: string) => ({ 'idempotency-key': key });
  const shardsOf = (ids: readonly string[]) => new Set(ids.map((id) => parseMessageId(id)?.shard));

  async function listAll(client: ApiClient, limit: number): Promise<string[]> {
    const ids: string[] = [];
    for (;;) {
      const cursor = ids.length > 0 ? `&after=${ids.at(-1)}` : '';
      const { body } = await client.get(`/v1/emails?limit=${limit}${cursor}`);
      ids.push(...body.data.map((item: { id: string }) => item.id));
      if (!body.has_more) return ids;
    }
  }

  test('with mail queued and keys in use loses, moves and repeats nothing', async () => {
    isOpen = false;
    const owner = await account();
    const { client } = owner;
    const sent = new Map<string, string>();
    const send = async (key: string) => {
      const { status, body } = await client.post('/v1/emails', { ...email, subject: key }, withKey(key));
      const deliveries = [expect.objectContaining({ recipient: email.to })];
      expect([status, body]).toEqual([200, { id: sent.get(key) ?? body.id, deliveries }]);
      sent.set(key, body.id);
    };
    for (let index = 0; index < 6; index++) await send(`before-${index}`);
    expect(shardsOf([...sent.values()])).toEqual(new Set([0]));
    expect((await raise(owner, 4)).body.shards).toBe(4);
    for (let index = 0; index < 24; index++) await send(`after-${index}`);
    expect(shardsOf([...sent.values()]).size).toBeGreaterThan(1);

    for (const key of sent.keys()) await send(key);
    const other = await Promise.all(
      [...sent.keys()].map((key) => client.post('/v1/emails', email, withKey(key))),
    );
    expect(new Set(other.map(({ status }) => status))).toEqual(new Set([409]));
    const newestFirst = [...sent.values()].sort().reverse();
    for (const limit of [4, 7, 100]) expect(await listAll(client, limit)).toEqual(newestFirst);
    const { body: back } = await client.get(`/v1/emails?limit=5&before=${newestFirst[12]}`);
    expect(back.data.map((item: { id: string }) => item.id)).toEqual(newestFirst.slice(7, 12));
    expect(back.has_more).toBe(true);

    isOpen = true;
    for (const id of sent.values()) {
      await client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    }
    const subjects = smtp.messages.map(({ data }) => /^Subject: (.*)\r$/m.exec(data.toString())?.[1]);
    expect(subjects.sort()).toEqual([...sent.keys()].sort());
  });

  test('while 20 requests race for each key makes one message for each key', async () => {
    isOpen = true;
    const owner = await account();
    const keys = Array.from({ length: 8 }, (_, index) => `race-${index}`);
    const sent: string[] = [];
    for (const [index, key] of keys.entries()) {
      const [raised, ...answers] = await Promise.all([
        raise(owner, 1 + 2 * index),
        ...Array.from({ length: 20 }, () => owner.client.post('/v1/emails', email, withKey(key))),
      ]);
      expect(raised.status).toBe(200);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      const ids = new Set<string>(answers.map(({ body }) => body.id));
      expect(ids.size).toBe(1);
      sent.push(...ids);
    }
    expect((await listAll(owner.client, 10)).sort()).toEqual(sent.sort());
  });

  test('two requests that race for one key with different bodies make one message', async () => {
    isOpen = true;
    const owner = await account();
    await raise(owner, 4);
    for (let round = 0; round < 12; round++) {
      const answers = await Promise.all(
        ['x', 'y', 'x', 'y'].map((subject) =>
          owner.client.post('/v1/emails', { ...email, subject }, withKey(`different-${round}`)),
        ),
      );
      const ids = new Set(answers.filter(({ status }) => status === 200).map(({ body }) => body.id));
      expect(answers.filter(({ status }) => status !== 200 && status !== 409)).toEqual([]);
      expect(ids.size).toBe(1);
      expect(await listAll(owner.client, 100)).toHaveLength(round + 1);
    }
  });

  test('keeps the backlog cap, and a request that was refused does not occupy its key', async () => {
    isOpen = false;
    const owner = await account();
    await raise(owner, 3);
    const batch = Array.from({ length: 40 }, () => email);
    const accepted = new Map<string, boolean>();
    for (let index = 0; index < 24; index++) {
      const key = `backlog-${index}`;
      const { status, body } = await owner.client.post('/v1/emails/batch', batch, withKey(key));
      if (status !== 200) expect([status, body.code]).toEqual([429, 'backlog_full']);
      accepted.set(key, status === 200);
    }
    // 40 for each of the three.
    expect([...accepted.values()].filter(Boolean)).toHaveLength(3);
    const taken = await listAll(owner.client, 100);
    expect(taken).toHaveLength(120);

    isOpen = true;
    for (const id of taken) {
      await owner.client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered');
    }
    for (const [key, wasAccepted] of accepted) {
      const other = await owner.client.post('/v1/emails/batch', [{ ...email, subject: key }], withKey(key));
      expect([key, other.status]).toEqual([key, wasAccepted ? 409 : 200]);
    }
    expect(await listAll(owner.client, 100)).toHaveLength(120 + 21);
  });
});
