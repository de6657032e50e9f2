/**
 * After a contact is erased, no route says anything of it: mail that was sent, that waits or went to others too, events,
 * what webhooks answered, reports of imports. It stays suppressed, and what belongs to others stays.
 */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import type { Env } from '../../src/env.ts';
import { erasureDeskOf, outboxOf } from '../../src/outbox/client.ts';
import { importedBy, importOf } from '../support/contact-import.ts';
import {
  call,
  callAsOperator,
  callsOf,
  createAccount,
  type JsonObject,
  jsonOf,
  letSend,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

const here = env as unknown as Env;
const NAME = 'Zephyrine';
const GONE = 'zephyrine.quillfeather@gone.example';
const BOB = 'bob@stays.example';
const LATER = { scheduled_at: new Date(Date.now() + 86_400_000).toISOString() };

let account: TestAccount;
let other: TestAccount;
const { ask, made } = callsOf(() => account);

const email = (to: readonly string[], more: JsonObject = {}) => ({
  from: `shop@${account.id.slice(-8)}.example`,
  to,
  subject: 'A subject',
  text: 'A text',
  ...more,
});

async function send(by: TestAccount, body: JsonObject): Promise<string> {
  const response = await call('/v1/emails', { key: by.key, body });
  const answer = await jsonOf(response);
  expect([response.status, answer]).toEqual([200, answer]);
  return textAt(answer, 'id');
}

const readText = async (path: string, by = account) =>
  (await call(path, { key: by.key, headers: { accept: '*/*' } })).text();

const idsAt = async (path: string, by = account): Promise<string[]> => {
  const { data } = JSON.parse(await readText(path, by)) as { data: { id: string }[] };
  return data.map(({ id }) => id);
};

/** The answers of every route that reads anything of an account's people, by path. */
async function everything(by = account): Promise<Map<string, string>> {
  const paths = [
    '/v1/account',
    '/v1/emails?limit=100',
    '/v1/emails/export?format=csv',
    '/v1/emails/export?format=jsonl',
    `/v1/emails?recipient=${GONE}`,
    '/v1/events?limit=100',
    '/v1/contacts?limit=100',
    `/v1/contacts?email=${GONE}`,
    '/v1/contacts?domain=gone.example',
    '/v1/contacts/export?format=csv',
    '/v1/contacts/export?format=jsonl',
    '/v1/suppressions?limit=100',
    '/v1/broadcasts',
    '/v1/templates',
    '/v1/lists',
  ];
  for (const id of await idsAt('/v1/emails?limit=100', by)) {
    paths.push(`/v1/emails/${id}`, `/v1/emails/${id}/attachments`);
  }
  for (const id of await idsAt('/v1/contacts?limit=100', by)) {
    paths.push(`/v1/contacts/${id}`, `/v1/contacts/${id}/segments`, `/v1/contacts/${id}/topics`);
  }
  for (const id of await idsAt('/v1/lists', by)) paths.push(`/v1/contacts?segment_id=${id}`);
  for (const id of await idsAt('/v1/suppressions?limit=100', by)) paths.push(`/v1/suppressions/${id}`);
  for (const id of await idsAt('/v1/contacts/imports', by)) {
    paths.push(`/v1/contacts/imports/${id}`, `/v1/contacts/imports/${id}/errors`);
  }
  for (const hook of await idsAt('/v1/webhooks', by)) {
    for (const id of await idsAt(`/v1/webhooks/${hook}/events?limit=100`, by)) {
      const event = `/v1/webhooks/${hook}/events/${id}`;
      paths.push(event, `${event}/attempts`);
    }
  }
  // What was asked for stands in the answer of some.
  const read = async (path: string) => [path, (await readText(path, by)).replaceAll(path, '')] as const;
  return new Map(await Promise.all(paths.map(read)));
}

const naming = (answers: ReadonlyMap<string, string>) =>
  [...answers].filter(([, text]) => /zephyrine|quillfeather|gone\.example/i.test(text)).map(([path]) => path);

const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 50 });

async function becomes(id: string, status: string, by = account): Promise<void> {
  await eventually(async () =>
    expect(textAt(JSON.parse(await readText(`/v1/emails/${id}`, by)), 'last_event')).toBe(status),
  );
}

let passedMs = 0;
const now = Date.now;

/** For the Worker and its objects too, which run beside the tests. */
function passTime(ms: number): void {
  passedMs += ms;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + passedMs);
}

const objectOf = ({ id }: TestAccount) => env.OUTBOX.get(env.OUTBOX.idFromName(`${id}/0`));

const rowsOf = (by: TestAccount, statement: string) =>
  runInDurableObject(objectOf(by), (_outbox, { storage }) => storage.sql.exec(statement).toArray());

async function openSender(): Promise<TestAccount> {
  const opened = await createAccount();
  await letSend(opened, `${opened.id.slice(-8)}.example`, inject('smtpPort'));
  return opened;
}

beforeAll(async () => {
  account = await openSender();
  other = await openSender();
});

afterAll(() => {
  vi.restoreAllMocks();
});

describe('a contact that is erased', () => {
  it('is found nowhere any more, and is still suppressed; others keep what is theirs', async () => {
    const hook = { endpoint: `http://127.0.0.1:${inject('validatorPort')}/echo`, backfill: false };
    const webhook = await made('/v1/webhooks', hook);
    const list = await made('/v1/lists', { name: 'News' });
    const person = { email: GONE, first_name: NAME, segments: [{ id: list }] };
    const contact = await made('/v1/contacts', person);
    await made('/v1/contacts', { email: BOB });
    await ask(`/v1/contacts/${contact}`, { last_name: 'Quillfeather' }, 'PATCH');
    const topic = await made('/v1/topics', { name: 'T', default_subscription: 'opt_in' });
    await ask(`/v1/contacts/${contact}/topics`, [{ id: topic, subscription: 'opt_out' }], 'PATCH');
    const csv = `email,first_name,unsubscribed\n${GONE},${NAME},perhaps\n"${GONE},${NAME},no\n`;
    await importedBy(account, await importOf(account, csv));

    const attachments = [{ filename: `${NAME}.txt`, content: 'QQ==' }];
    const alone = await send(account, {
      ...email([`${NAME} <${GONE}>`], { subject: `Dear ${NAME}`, text: `Dear ${NAME}`, attachments }),
      tags: [{ name: 'who', value: NAME }],
    });
    const shared = await send(
      account,
      email([BOB, GONE.toUpperCase()], { text: `Dear ${NAME} and Bob`, attachments }),
    );
    const hidden = await send(account, email([BOB], { bcc: [GONE] }));
    const later = await send(account, email([GONE], { ...LATER, text: `Dear ${NAME}` }));
    const sharedLater = await send(account, email([GONE, BOB], { ...LATER, text: `Dear ${NAME} and Bob` }));
    const bobs = await send(account, email([BOB], { attachments: [{ filename: 'b.txt', content: 'QQ==' }] }));
    const elsewhere = await send(other, {
      ...email([GONE], { subject: `Dear ${NAME}` }),
      from: `shop@${other.id.slice(-8)}.example`,
    });
    for (const id of [alone, shared, hidden, bobs]) await becomes(id, 'delivered');
    await becomes(elsewhere, 'delivered', other);
    // Until the answers to all that was told are on record.
    await eventually(async () => {
      const events = await idsAt(`/v1/webhooks/${webhook}/events?limit=100`);
      const answers = await Promise.all(
        events.map((id) => readText(`/v1/webhooks/${webhook}/events/${id}/attempts`)),
      );
      expect(answers.filter((text) => text.includes('gone.example')).length).toBeGreaterThanOrEqual(4);
    });
    await ask('/v1/suppressions', { email: GONE });
    const before = naming(await everything());
    for (const part of [
      '/attempts',
      '/v1/events',
      '/v1/emails/export',
      `/v1/emails/${shared}`,
      '/v1/contacts/export',
      '/v1/suppressions',
    ])
      expect(
        before.some((path) => path.includes(part)),
        part,
      ).toBe(true);
    const suppressed = await ask(`/v1/suppressions/${GONE}`);
    expect(suppressed.body).toMatchObject({ email: GONE });

    expect((await ask(`/v1/contacts/${GONE}`, undefined, 'DELETE')).status).toBe(200);
    const after = await everything();
    expect(naming(after)).toEqual([]);
    expect(JSON.parse(after.get(`/v1/emails?recipient=${GONE}`) ?? '')).toMatchObject({ data: [] });
    expect((await ask(`/v1/suppressions/${textAt(suppressed.body, 'id')}`)).body).toMatchObject({
      email: null,
    });

    const left = async (id: string) => JSON.parse(await readText(`/v1/emails/${id}`)) as JsonObject;
    expect(await left(alone)).toMatchObject({ last_event: 'delivered', subject: '', text: null });
    expect(await left(shared)).toMatchObject({
      to: [BOB, 'erased-1@erased.invalid'],
      subject: 'A subject',
      content: { available: false, kept_until: null },
    });
    expect(await left(later)).toMatchObject({ last_event: 'canceled' });
    const { deliveries } = (await left(sharedLater)) as {
      deliveries: { status: string; recipient: string }[];
    };
    expect(deliveries.map(({ status, recipient }) => [recipient, status])).toEqual([
      ['erased-0@erased.invalid', 'canceled'],
      [BOB, 'scheduled'],
    ]);
    expect(await left(bobs)).toMatchObject({ to: [BOB], text: 'A text', content: { available: true } });
    expect(await idsAt(`/v1/emails/${bobs}/attachments`)).toHaveLength(1);
    expect(await idsAt(`/v1/emails?recipient=${BOB}`)).toEqual([bobs, sharedLater, hidden, shared]);
    expect(naming(await everything(other))).toContain(`/v1/emails/${elsewhere}`);

    // Bob's mail goes out when its time has come, without her.
    await ask(
      `/v1/emails/${sharedLater}`,
      { scheduled_at: new Date(Date.now() + 1000).toISOString() },
      'PATCH',
    );
    await becomes(sharedLater, 'delivered');
    const days = await rowsOf(account, "SELECT name FROM sqlite_schema WHERE name GLOB 'contents_[0-9]*'");
    for (const { name } of days) {
      // Of the two that Bob alone got a text of which nobody else is named.
      expect(await rowsOf(account, `SELECT piece_number FROM ${name}`)).toHaveLength(2);
    }

    // The object looked the address up seconds ago.
    passTime(11_000);
    await becomes(await send(account, email([GONE])), 'suppressed');
  });
});

it('is erased in every shard', async () => {
  const wide = await openSender();
  await callAsOperator(`/v1/admin/accounts/${wide.id}`, { method: 'PATCH', body: { shards: 3 } });
  const mine = (path: string, body?: unknown, method?: string) =>
    call(path, { key: wide.key, body, ...(method && { method }) });
  const contact = textAt(await jsonOf(await mine('/v1/contacts', { email: GONE })), 'id');
  const from = `shop@${wide.id.slice(-8)}.example`;
  // A request goes to any of the shards: that all of these go to one has a probability of 3^-11.
  const sent = Array.from({ length: 12 }, () => send(wide, { ...email([GONE], LATER), from }));
  const ids = await Promise.all(sent);
  expect(naming(await everything(wide))).toEqual(expect.arrayContaining(ids.map((id) => `/v1/emails/${id}`)));
  expect((await mine(`/v1/contacts/${contact}`, undefined, 'DELETE')).status).toBe(200);
  expect(naming(await everything(wide))).toEqual([]);
});

describe('an erasure that was interrupted', () => {
  const term = async () => {
    const [row] = await rowsOf(account, 'SELECT recipient FROM erasures');
    return BigInt(`0x${textAt(row, 'recipient')}`);
  };
  const later = async (ms: number) => {
    passTime(ms);
    await outboxOf(here, account.id).wake();
  };
  const planned = () => rowsOf(account, 'SELECT is_certain FROM erasures');
  /** Only what is written there fails: the object's own loops go on reading it. */
  const refuseErasures = () =>
    rowsOf(
      account,
      "CREATE TRIGGER refuse BEFORE INSERT ON erasures BEGIN SELECT RAISE(ABORT, 'no room'); END",
    );

  it('goes on by itself once the contact is gone, and comes once more for what was on its way', async () => {
    // The row of the one before tells the term. A minute after it, what was made before it and came in since goes too.
    const recipient = await term();
    passTime(-20_000);
    const inFlight = await send(account, email([GONE], LATER));
    expect(await readText(`/v1/emails/${inFlight}`)).toContain(GONE);
    passTime(20_000);
    await later(61_000);
    await eventually(async () => expect(await planned()).toEqual([]));
    expect(await readText(`/v1/emails/${inFlight}`)).not.toContain(GONE);

    const contactId = await made('/v1/contacts', { email: GONE });
    await ask(`/v1/suppressions/${GONE}`, undefined, 'DELETE');
    const id = await send(account, email([GONE], LATER));
    await erasureDeskOf(here, account.id, 0).plan({ contactId, recipient });
    // Nobody went on, and nobody deleted him: nothing happens.
    const [before] = await rowsOf(account, 'SELECT at FROM erasures');
    await later(31_000);
    await eventually(async () =>
      expect(await rowsOf(account, 'SELECT at FROM erasures')).not.toEqual([before]),
    );
    expect(naming(await everything())).toContain(`/v1/emails/${id}`);
    await env.DB.prepare('DELETE FROM contacts WHERE "account_id" = ? AND id = ?')
      .bind(account.id, contactId)
      .run();
    await later(31_000);
    await eventually(async () => expect(naming(await everything())).toEqual([]));
    expect(await planned()).toEqual([]);
  });

  it('of a contact that stays is given up', async () => {
    const contactId = await made('/v1/contacts', { email: GONE });
    await erasureDeskOf(here, account.id, 0).plan({ contactId, recipient: 1n });
    await later(11 * 60_000);
    await eventually(async () => expect(await planned()).toEqual([]));
    expect((await ask(`/v1/contacts/${contactId}`)).status).toBe(200);
  });

  it('leaves the contact where an Outbox cannot note it, and is done by the request after it', async () => {
    await refuseErasures();
    expect((await ask(`/v1/contacts/${GONE}`, undefined, 'DELETE')).status).toBe(503);
    expect((await ask(`/v1/contacts/${GONE}`)).status).toBe(200);
    await rowsOf(account, 'DROP TRIGGER refuse');
    expect((await ask(`/v1/contacts/${GONE}`, undefined, 'DELETE')).status).toBe(200);
    expect(naming(await everything())).toEqual([]);
    expect((await ask(`/v1/contacts/${GONE}`, undefined, 'DELETE')).status).toBe(404);
  });

  it('leaves somebody on his only list too, if it is by that list that he is deleted', async () => {
    const audience = await made('/v1/audiences', { name: 'A' });
    const email = 'member@example.com';
    const path = `/v1/audiences/${audience}/contacts/${email}`;
    await made(`/v1/audiences/${audience}/contacts`, { email });
    await refuseErasures();
    expect((await ask(path, undefined, 'DELETE')).status).toBe(503);
    expect((await ask(path)).status).toBe(200);
    await rowsOf(account, 'DROP TRIGGER refuse');
    expect((await ask(path, undefined, 'DELETE')).status).toBe(200);
    expect((await ask(`/v1/contacts/${email}`)).status).toBe(404);
  });
});
