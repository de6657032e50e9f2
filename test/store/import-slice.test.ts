/** What makes an import exact over crashes: a slice that is written again counts the same and changes nothing. */
import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import type { Env } from '../../src/env.ts';
import { newId } from '../../src/ids.ts';
import type { ImportSlice } from '../../src/outbox/client.ts';
import { importSlice } from '../../src/services/import-slice.ts';
import { scopeOfOutbox } from '../../src/store/db.ts';
import { call, createAccount, jsonOf, type TestAccount } from '../support/control-plane.ts';

const START = { byte: 0, line: 2, isInsideRefused: false };

function sliceOf(
  text: string,
  onConflict: 'upsert' | 'skip',
  importId = newId('contactImport'),
): ImportSlice {
  const options = {
    keyId: 'key_test',
    delimiter: ',',
    width: 2,
    columns: { email: 0, firstName: 1, properties: [] },
    onConflict,
    listIds: [],
    topics: [],
  };
  const bytes = new TextEncoder().encode(text);
  return { importId, options, position: START, bytes, isLast: true, mayBeRepeated: true };
}

const write = (account: TestAccount, slice: ImportSlice) =>
  importSlice({ env: env as unknown as Env, scope: scopeOfOutbox(env.DB, account.id) }, slice);

async function contactsOf({ key }: TestAccount): Promise<unknown> {
  const { data } = await jsonOf(await call('/v1/contacts?limit=100', { key }));
  return data;
}

const LINES = 'old@example.com,New\na@example.com,A\nnobody,\nA@example.com,B\nb@example.com,\n';

it.each(['upsert', 'skip'] as const)(
  'counts a slice the same when it is repeated: %s',
  async (onConflict) => {
    const account = await createAccount();
    await call('/v1/contacts', { key: account.key, body: { email: 'old@example.com', first_name: 'Old' } });
    const slice = sliceOf(LINES, onConflict);
    const first = await write(account, slice);
    const [updated, skipped] = onConflict === 'upsert' ? [2, 0] : [0, 2];
    expect(first.counts).toEqual({ total: 5, created: 2, updated, skipped, failed: 1 });
    const contacts = await contactsOf(account);
    expect(await write(account, slice)).toEqual(first);
    expect(await contactsOf(account)).toEqual(contacts);
  },
);

it('goes on where only a part of a slice was written', async () => {
  const [whole, cut] = [await createAccount(), await createAccount()];
  const importId = newId('contactImport');
  const wanted = await write(whole, sliceOf(LINES, 'skip', importId));
  await write(cut, sliceOf(LINES.slice(0, LINES.indexOf('nobody')), 'skip', importId));
  expect(await write(cut, sliceOf(LINES, 'skip', importId))).toEqual(wanted);
});

it('knows its own contact also when somebody changed it between the two times', async () => {
  const account = await createAccount();
  const slice = sliceOf('moved@example.com,A\nkept@example.com,A\n', 'upsert');
  const first = await write(account, slice);
  for (const [email, change] of [
    ['moved@example.com', { email: 'elsewhere@example.com' }],
    ['kept@example.com', { first_name: 'By hand' }],
  ] as const) {
    const path = `/v1/contacts/${email}`;
    expect((await call(path, { key: account.key, method: 'PATCH', body: change })).status).toBe(200);
  }
  const contacts = await contactsOf(account);
  expect(await write(account, slice)).toEqual(first);
  expect(await contactsOf(account)).toEqual(contacts);
});

it('counts the same when two incarnations write it at once', async () => {
  const account = await createAccount();
  const lines = Array.from({ length: 300 }, (_, n) => `both${n}@example.com,x`).join('\n');
  const slice = sliceOf(lines, 'skip');
  const [one, other] = await Promise.all([write(account, slice), write(account, slice)]);
  expect(one?.counts).toEqual({ total: 300, created: 300, updated: 0, skipped: 0, failed: 0 });
  expect(other).toEqual(one);
});
