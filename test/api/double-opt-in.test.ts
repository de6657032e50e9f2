/** Lists that somebody joins only by the link that is mailed to him. */
import { beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { call, callsOf, createAccount, letSend, type TestAccount } from '../support/control-plane.ts';
import { confirmationsTo } from '../support/reader-links.ts';

let account: TestAccount;
let list: string;

const { ask, made } = callsOf(() => account);
const asking = { double_opt_in: true, confirmation_from: 'News <news@optin.example>' };
const statusOf = async (contact: string) =>
  ((await ask(`/v1/contacts/${contact}/segments`)).body.data as { id: string; status: string }[]).find(
    ({ id }) => id === list,
  )?.status;
const press = (path: string) => call(path, { method: 'POST' });

beforeAll(async () => {
  account = await createAccount();
  await letSend(account, 'optin.example', inject('smtpPort'));
  list = await made('/v1/lists', { name: 'Weekly <b>', ...asking });
});

describe('a list with double opt-in', () => {
  it('needs a sender that the account may use', async () => {
    for (const [change, field] of [
      [{ confirmation_from: undefined }, 'confirmation_from'],
      [{ confirmation_from: 'a@elsewhere.example' }, 'confirmation_from'],
      [{ confirmation_from: 'nobody' }, 'confirmation_from'],
      [{ confirmation_subject: 'A\u0000' }, 'confirmation_subject'],
      [{ confirmation_subject: 'A\r\nBcc: x@example.com' }, 'confirmation_subject'],
      [{ confirmation_language: 'it' }, 'confirmation_language'],
      [
        { double_opt_in: false, confirmation_from: undefined, confirmation_language: 'de' },
        'confirmation_from',
      ],
    ] as const) {
      const answer = await ask('/v1/lists', { name: 'List', ...asking, ...change });
      expect([answer.status, answer.body.message]).toEqual([422, expect.stringContaining(`\`${field}\``)]);
    }
    const plain = await made('/v1/segments', { name: 'Plain' });
    expect((await ask(`/v1/segments/${plain}`, { double_opt_in: true }, 'PATCH')).status).toBe(422);
    expect((await ask(`/v1/segments/${plain}`, asking, 'PATCH')).status).toBe(200);
    await ask(
      `/v1/segments/${plain}`,
      { confirmation_subject: 'Really?', confirmation_language: 'fr' },
      'PATCH',
    );
    expect((await ask(`/v1/segments/${plain}`)).body).toMatchObject({
      ...asking,
      confirmation_subject: 'Really?',
      confirmation_language: 'fr',
    });
    await ask(`/v1/segments/${plain}`, { double_opt_in: false, confirmation_subject: null }, 'PATCH');
    expect((await ask(`/v1/segments/${plain}`)).body).toMatchObject({
      double_opt_in: false,
      confirmation_from: asking.confirmation_from,
      confirmation_subject: null,
    });
  });

  it('mails a link, and counts somebody once he pressed the button behind it', async () => {
    const contact = await made('/v1/contacts', { email: 'reader@example.com', segments: [list] });
    const { count, path, id } = await confirmationsTo(account, 'reader@example.com');
    expect(count).toBe(1);
    const mail = (await ask(`/v1/emails/${id}`)).body;
    expect(mail).toMatchObject({
      from: 'News <news@optin.example>',
      subject: 'Please confirm: Weekly <b>',
      html: null,
    });
    for (const method of ['GET', 'HEAD', 'GET']) {
      const response = await call(path, { method });
      expect(response.status).toBe(200);
      if (method === 'GET') expect(await response.text()).toContain('Weekly &lt;b&gt;');
    }
    expect(await statusOf(contact)).toBe('pending');
    const done = await press(path);
    expect(done.status).toBe(200);
    expect(await statusOf(contact)).toBe('confirmed');
    const { body } = await ask('/v1/events?limit=100');
    // Meanwhile the mail itself may be delivered, which is told too.
    const events = body.data as { type: string; data: unknown }[];
    expect(events.findLast(({ type }) => type === 'contact.updated')?.data).toMatchObject({
      email: 'reader@example.com',
      segment_ids: [list],
    });
    // Harmless to repeat, and nobody is asked who has confirmed.
    expect((await press(path)).status).toBe(200);
    await ask(`/v1/contacts/${contact}/segments/${list}`, undefined, 'POST');
    expect((await confirmationsTo(account, 'reader@example.com')).count).toBe(1);
    // The page leads to where he can leave again.
    const preferences = /href="(\/preferences\/[^"]+)"/.exec(await done.text())?.[1] ?? '';
    expect((await call(preferences)).status).toBe(200);
  });

  it('asks again whom it is asked to, a few times a day', async () => {
    for (let time = 0; time < 7; time++) {
      await made(`/v1/audiences/${list}/contacts`, { email: 'eager@example.com' });
    }
    const { count, path } = await confirmationsTo(account, 'eager@example.com');
    expect(count).toBe(5);
    // However the address is written, and whoever asks, and for a contact who was deleted in between.
    await ask('/v1/contacts/eager@example.com', undefined, 'DELETE');
    await made('/v1/contacts', { email: 'EAGER@example.com', segments: [list] });
    expect((await confirmationsTo(account, 'EAGER@example.com')).count).toBe(0);
    expect((await press(path)).status).toBe(400);
  });

  it('asks whom it was told of one by one, and in the language of the list', async () => {
    const german = await made('/v1/lists', { name: 'Woche', ...asking, confirmation_language: 'de' });
    const contact = await made('/v1/contacts', { email: 'deutsch@example.com' });
    await ask(`/v1/contacts/${contact}/segments/${german}`, undefined, 'POST');
    const { id } = await confirmationsTo(account, 'deutsch@example.com');
    expect((await ask(`/v1/emails/${id}`)).body).toMatchObject({
      subject: 'Bitte bestätigen: Woche',
      text: expect.stringContaining('drücken Sie dort auf den Knopf'),
    });
  });

  it('takes no link that is too old, is for another address, or of somebody who left', async () => {
    const contact = await made('/v1/contacts', { email: 'slow@example.com', segments: [list] });
    const { path } = await confirmationsTo(account, 'slow@example.com');
    const refused = async () => {
      const pages = [await call(path), await press(path), await press('/join/wrong')];
      expect(pages.map(({ status }) => status)).toEqual([400, 400, 400]);
      const texts = await Promise.all(pages.map((page) => page.text()));
      expect(new Set(texts).size).toBe(1);
    };
    const now = Date.now();
    const clock = vi.spyOn(Date, 'now').mockReturnValue(now + 49 * 60 * 60 * 1000);
    try {
      await refused();
    } finally {
      clock.mockRestore();
    }
    await ask(`/v1/contacts/${contact}`, { email: 'moved@example.com' }, 'PATCH');
    await refused();
    await ask(`/v1/contacts/${contact}`, { email: 'slow@example.com' }, 'PATCH');
    expect(await statusOf(contact)).toBe('pending');
    await ask(`/v1/contacts/${contact}/segments/${list}`, undefined, 'DELETE');
    await refused();
    await ask(`/v1/contacts/${contact}/segments/${list}`, undefined, 'POST');
    expect((await press(path)).status).toBe(200);
  });

  it('does not take the link of another account, nor one to unsubscribe', async () => {
    await made('/v1/contacts', { email: 'mine@example.com', segments: [list] });
    const { path } = await confirmationsTo(account, 'mine@example.com');
    const other = await createAccount();
    const wrong = [path.replace(account.id, other.id), path.replace('/join/', '/preferences/'), `${path}A`];
    for (const one of wrong) expect((await press(one)).status).toBe(400);
    expect((await press(path)).status).toBe(200);
  });

  it('says so where the mail cannot go out, and keeps the contact', async () => {
    const relays = (await ask('/v1/relays')).body.data as { id: string }[];
    for (const { id } of relays) await ask(`/v1/relays/${id}`, undefined, 'DELETE');
    const answer = await ask('/v1/contacts', { email: 'unasked@example.com', segments: [list] });
    expect([answer.status, answer.body.code]).toEqual([422, 'no_relay']);
    expect((await ask('/v1/contacts/unasked@example.com')).status).toBe(200);
    await call('/v1/relays', {
      key: account.key,
      body: { host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' },
    });
    await made('/v1/contacts', { email: 'unasked@example.com', segments: [list] });
    expect((await confirmationsTo(account, 'unasked@example.com')).count).toBe(1);
  });
});
