/** Contacts from a file on lists with double opt-in: whether, whom and how often the link is mailed. */
import { env } from 'cloudflare:workers';
import { beforeAll, expect, inject, it } from 'vitest';
import type { Env } from '../../src/env.ts';
import { newId } from '../../src/ids.ts';
import { importSlice } from '../../src/services/import-slice.ts';
import { scopeOfOutbox } from '../../src/store/db.ts';
import { importedBy, importOf, postImport } from '../support/contact-import.ts';
import {
  call,
  callAsOperator,
  callsOf,
  createAccount,
  jsonOf,
  letSend,
  type TestAccount,
} from '../support/control-plane.ts';
import { confirmationsTo } from '../support/reader-links.ts';

let account: TestAccount;
let list: string;
let plain: string;

const { ask, made } = callsOf(() => account);
const asking = { double_opt_in: true, confirmation_from: 'News <news@fromfile.example>' };
const fields = (lists: readonly string[], more: Record<string, string> = {}) => ({
  segments: JSON.stringify(lists.map((id) => ({ id }))),
  send_confirmations: 'true',
  ...more,
});
const imported = async (file: string, given: Record<string, string>) =>
  importedBy(account, await importOf(account, file, given));
const statusOf = async (email: string) => (await ask(`/v1/contacts/${email}/segments`)).body.data;

beforeAll(async () => {
  account = await createAccount();
  await letSend(account, 'fromfile.example', inject('smtpPort'));
  list = await made('/v1/lists', { name: 'Asking', ...asking });
  plain = await made('/v1/lists', { name: 'Plain' });
});

it('are mailed the link where that is asked for, and count once they press the button behind it', async () => {
  const file = 'email\nfirst@example.com\nsecond@example.com\nnobody\n';
  const done = await imported(file, fields([plain, list]));
  expect(done).toMatchObject({
    counts: { total: 3, created: 2, failed: 1 },
    confirmations: { mailed: 2, not_mailed: 0 },
  });
  const { count, path } = await confirmationsTo(account, 'first@example.com');
  expect(count).toBe(1);
  expect((await call(path, { method: 'POST' })).status).toBe(200);
  const lists = expect.arrayContaining([expect.objectContaining({ id: list, status: 'confirmed' })]);
  expect(await statusOf('first@example.com')).toEqual(lists);
});

it('are each mailed once, also where the file is worked through in several slices', async () => {
  const addresses = Array.from({ length: 560 }, (_, n) => `many${n}@example.com`);
  const done = await imported(`email\n${addresses.join('\n')}\n`, fields([list]));
  expect(done.confirmations).toEqual({ mailed: 560, not_mailed: 0 });
  const mailed: string[] = [];
  for (let after = ''; ; ) {
    const { body } = await ask(`/v1/emails?limit=100${after}`);
    const page = body.data as readonly { readonly id: string; readonly to: readonly string[] }[];
    mailed.push(...page.flatMap(({ to }) => to.filter((address) => address.startsWith('many'))));
    if (!body.has_more) break;
    after = `&after=${page.at(-1)?.id}`;
  }
  expect(mailed.sort()).toEqual(addresses.sort());
});

it('are mailed nothing where it is not asked for, or they are left alone', async () => {
  const silent = await imported('email\nsilent@example.com\n', { segments: JSON.stringify([{ id: list }]) });
  expect(silent.confirmations).toBeNull();
  expect(await imported('email\nsilent@example.com\n', fields([list]))).toMatchObject({
    counts: { skipped: 1 },
    confirmations: { mailed: 0, not_mailed: 0 },
  });
  expect((await confirmationsTo(account, 'silent@example.com')).count).toBe(0);
  const changed = await imported('email\nsilent@example.com\n', fields([list], { on_conflict: 'upsert' }));
  expect(changed).toMatchObject({ counts: { updated: 1 }, confirmations: { mailed: 1, not_mailed: 0 } });
});

it('are told apart from what can not ask for it', async () => {
  for (const [lists, value] of [
    [[plain], 'true'],
    [[], 'true'],
    [[list], '"yes"'],
  ] as const) {
    const response = await postImport(
      account,
      'email\na@example.com\n',
      fields(lists, { send_confirmations: value }),
    );
    const { message } = await jsonOf(response);
    expect([response.status, message]).toEqual([422, expect.stringContaining('`send_confirmations`')]);
  }
});

it('are counted as not mailed where their day is full, or the account has no quota left', async () => {
  const upsert = fields([list], { on_conflict: 'upsert' });
  const tried = async (email: string) => (await imported(`email\n${email}\n`, upsert)).confirmations;
  for (let n = 1; n <= 7; n++) {
    const isWithin = n <= 5;
    expect(await tried('tired@example.com')).toEqual({
      mailed: Number(isWithin),
      not_mailed: Number(!isWithin),
    });
  }
  expect((await confirmationsTo(account, 'tired@example.com')).count).toBe(5);
  const own = () => tried('late@example.com');
  await callAsOperator(`/v1/admin/accounts/${account.id}`, { method: 'PATCH', body: { daily_quota: 1 } });
  expect(await own()).toEqual({ mailed: 0, not_mailed: 1 });
  await callAsOperator(`/v1/admin/accounts/${account.id}`, { method: 'PATCH', body: { daily_quota: null } });
});

it('are mailed once where a slice is written again', async () => {
  const importId = newId('contactImport');
  const slice = {
    importId,
    options: {
      keyId: account.keyId,
      delimiter: ',',
      width: 1,
      columns: { email: 0, properties: [] },
      onConflict: 'upsert' as const,
      listIds: [list],
      topics: [],
      confirmations: { origin: 'https://relay.test', isTest: false },
    },
    position: { byte: 0, line: 2, isInsideRefused: false },
    bytes: new TextEncoder().encode('twice@example.com\nfirst@example.com\n'),
    isLast: true,
    mayBeRepeated: true,
  };
  const write = () =>
    importSlice({ env: env as unknown as Env, scope: scopeOfOutbox(env.DB, account.id) }, slice);
  const first = await write();
  // One of the two has confirmed long since.
  expect(first.confirmations).toEqual({ mailed: 1, notMailed: 0 });
  for (let n = 0; n < 7; n++) expect(await write()).toEqual(first);
  expect((await confirmationsTo(account, 'twice@example.com')).count).toBe(1);
});
