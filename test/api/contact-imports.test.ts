import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { newId } from '../../src/ids.ts';
import { importedBy, importOf, postImport } from '../support/contact-import.ts';
import {
  call,
  callAsOperator,
  createAccount,
  jsonOf,
  letSend,
  send,
  type TestAccount,
  textAt,
} from '../support/control-plane.ts';

let account: TestAccount;
const ask = async (path: string, method = 'GET') => {
  const response = await call(path, { key: account.key, method });
  return { status: response.status, body: await jsonOf(response) };
};
const made = async (path: string, body: unknown) =>
  textAt(await jsonOf(await call(path, { key: account.key, body })), 'id');
const contact = async (email: string) => (await ask(`/v1/contacts/${encodeURIComponent(email)}`)).body;
const counts = (created: number, updated = 0, skipped = 0, failed = 0) => ({
  total: created + updated + skipped + failed,
  created,
  updated,
  skipped,
  failed,
});
/** The counts of an import, and the numbers and reasons of what it refused. */
const outcomeOf = async (file: string | Uint8Array | Blob, fields: Record<string, string> = {}) => {
  const id = await importOf(account, file, fields);
  const body = await importedBy(account, id);
  const errors = await call(`/v1/contacts/imports/${id}/errors`, { key: account.key });
  const lines = (await errors.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const refused = lines.slice(0, -1).map(({ line, reason }) => [line, reason]);
  expect(lines.at(-1)).toEqual({ object: 'export_end', count: refused.length });
  return { id, counts: body.counts, refused, body };
};
const map = (columns: object) => ({ column_map: JSON.stringify(columns) });

beforeAll(async () => {
  account = await createAccount();
  await letSend(account, 'asked.example', inject('smtpPort'));
  await made('/v1/contact-properties', { key: 'city', type: 'string' });
  await made('/v1/contact-properties', { key: 'age', type: 'number', is_filterable: true });
  await made('/v1/contact-properties', { key: 'email', type: 'string' });
});

describe('an import', () => {
  it('makes contacts by a map of columns, and puts them on lists and topics', async () => {
    const list = await made('/v1/lists', { name: 'Imported' });
    const pending = await made('/v1/lists', {
      name: 'Asked',
      double_opt_in: true,
      confirmation_from: 'a@asked.example',
    });
    const topic = await made('/v1/topics', { name: 'News', default_subscription: 'opt_out' });
    const file =
      '\ufeffMail;Vorname;"Name, ""voll""";Stadt;Alter;Weg;Rest\r\n' +
      'Ann@Example.com;Ann;Lee;Bern;41;no;x\r\n"bob@example.com";;"Two\r\nLines";;;yes;\r\n';
    const columns = {
      email: 'Mail',
      first_name: 'Vorname',
      last_name: 'Stadt',
      unsubscribed: 'Weg',
      properties: { city: { column: 'Name, "voll"' }, age: { column: 'Alter', type: 'number' } },
    };
    const { body, refused, id } = await outcomeOf(file, {
      ...map(columns),
      segments: JSON.stringify([{ id: list }, pending]),
      topics: JSON.stringify([{ id: topic, subscription: 'opt_in' }]),
    });
    expect(refused).toEqual([]);
    expect(body).toEqual({
      object: 'contact_import',
      id,
      status: 'completed',
      created_at: expect.stringMatching(/Z$/),
      completed_at: expect.stringMatching(/Z$/),
      counts: counts(2),
      confirmations: null,
    });
    expect(await contact('ann@example.com')).toMatchObject({
      email: 'Ann@example.com',
      first_name: 'Ann',
      last_name: 'Bern',
      unsubscribed: false,
      created_at: body.created_at,
      properties: { city: { value: 'Lee' }, age: { value: 41 } },
    });
    expect(await contact('bob@example.com')).toMatchObject({
      first_name: null,
      last_name: null,
      unsubscribed: true,
      properties: { city: { value: 'Two\r\nLines' } },
    });
    const on = (await ask('/v1/contacts/ann@example.com/segments')).body.data as object[];
    expect(on).toHaveLength(2);
    expect(on).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: list, status: 'confirmed' }),
        expect.objectContaining({ id: pending, status: 'pending' }),
      ]),
    );
    const topics = (await ask('/v1/contacts/bob@example.com/topics')).body.data;
    expect(topics).toEqual([expect.objectContaining({ id: topic, subscription: 'opt_in' })]);
  });

  it('goes by the names in the header where nothing is said about columns', async () => {
    const file = 'First Name,E-Mail,lastName,city,properties.email,other\nEve,eve@example.com,Ray,Rome,x,y\n';
    expect((await outcomeOf(file)).counts).toEqual(counts(1));
    expect(await contact('eve@example.com')).toMatchObject({
      first_name: 'Eve',
      last_name: 'Ray',
      properties: { city: { value: 'Rome' }, email: { value: 'x' } },
    });
  });

  it('skips who is there, or changes him by what is given and never subscribes him again', async () => {
    await made('/v1/contacts', { email: 'old@example.com', first_name: 'Old', unsubscribed: true });
    const file =
      'email,first_name,last_name,unsubscribed\nold@example.com,,New,false\nfresh@example.com,,,\n';
    expect((await outcomeOf(file)).counts).toEqual(counts(1, 0, 1));
    expect(await contact('old@example.com')).toMatchObject({ last_name: null });
    expect((await outcomeOf(file, { on_conflict: 'upsert' })).counts).toEqual(counts(0, 2));
    expect(await contact('old@example.com')).toMatchObject({
      first_name: 'Old',
      last_name: 'New',
      unsubscribed: true,
    });
  });

  it('leaves a topic that somebody opted out of, and opts out whom the file says so', async () => {
    const topic = await made('/v1/topics', { name: 'Chosen', default_subscription: 'opt_in' });
    const id = await made('/v1/contacts', { email: 'chose@example.com' });
    const choose = async (subscription: string) =>
      call(`/v1/contacts/${id}/topics`, {
        key: account.key,
        method: 'PATCH',
        body: [{ id: topic, subscription }],
      });
    const chosen = async () => {
      const { data } = (await ask(`/v1/contacts/${id}/topics`)).body as { data: { id: string }[] };
      return data.find((one) => one.id === topic);
    };
    const given = (subscription: string) => [{ id: topic, subscription }];
    const imported = (subscription: string) =>
      outcomeOf('email\nchose@example.com\n', {
        on_conflict: 'upsert',
        topics: JSON.stringify(given(subscription)),
      });
    await choose('opt_out');
    await imported('opt_in');
    await made('/v1/contacts', { email: 'chose@example.com', topics: given('opt_in') });
    expect(await chosen()).toMatchObject({ subscription: 'opt_out' });
    await choose('opt_in');
    expect(await chosen()).toMatchObject({ subscription: 'opt_in' });
    await imported('opt_out');
    expect(await chosen()).toMatchObject({ subscription: 'opt_out' });
  });

  it('counts an address that comes twice as one contact', async () => {
    const file = 'email,first_name\ntwice@example.com,A\nTWICE@example.com,B\n';
    expect((await outcomeOf(file, { on_conflict: 'upsert' })).counts).toEqual(counts(1, 1));
    expect(await contact('twice@example.com')).toMatchObject({ first_name: 'B' });
    expect((await outcomeOf(file.replaceAll('twice', 'thrice'))).counts).toEqual(counts(1, 0, 1));
    expect(await contact('thrice@example.com')).toMatchObject({ first_name: 'A' });
  });

  it('refuses single lines, by number and reason, and takes all others', async () => {
    const rows: [string | Uint8Array, string | undefined][] = [
      ['good1@example.com,,', undefined],
      ['not an address,,', 'Invalid `email` field'],
      [',Ann,', 'Invalid `email` field: is empty.'],
      ['', undefined],
      [',,', undefined],
      ['"open@example.com,,', 'The line cannot be read'],
      ['good2@example.com,,', undefined],
      ['a"b@example.com,,', 'The line cannot be read'],
      ['"x"y@example.com,,', 'The line cannot be read'],
      ['good3@example.com,,1e3', undefined],
      ['age@example.com,,old', 'Invalid `properties.age` field: must be a number.'],
      [`name@example.com,${'n'.repeat(201)},`, 'Invalid `first_name` field: must have at most 200'],
      [`long@example.com,${'n'.repeat(1024 * 1024)},`, 'The line cannot be read: it has more than 64 KiB.'],
      [`quoted@example.com,"${'n\n'.repeat(3)}${'n'.repeat(70_000)}",`, 'The line cannot be read'],
      ['n@example.com"', undefined],
      [
        new Uint8Array([0x61, 0xff, 0x40, 0x62, 0x2e, 0x63, 0x2c]),
        'The line cannot be read: it is not UTF-8.',
      ],
      ['more@example.com,,,x', 'The line cannot be read: it has more than the 3 cells'],
      ['less@example.com', undefined],
      ['nul@example.com,\0,', 'Invalid `first_name` field: must not have control characters.'],
      ['Ann <ann@example.com>,,', 'Invalid `email` field: must be an address without a display name.'],
      ["'+plus@example.com,=1+1,", undefined],
      ['good4@example.com,,', undefined],
    ];
    const parts: (string | Uint8Array | Blob)[] = ['email,first_name,age'];
    for (const [row] of rows) parts.push('\n', row);
    const { refused, counts: found } = await outcomeOf(new Blob(parts));
    const lines = (refused as [number, string][]).map(([line, reason]) => `${line} ${reason.slice(0, 200)}`);
    expect(lines).toEqual([
      expect.stringMatching(/^3 Invalid `email` field: /),
      expect.stringMatching(/^4 Invalid `email` field: is empty\.$/),
      expect.stringMatching(/^7 The line cannot be read: /),
      expect.stringMatching(/^9 The line cannot be read: a quote within a cell/),
      expect.stringMatching(/^10 The line cannot be read: a closing quote/),
      expect.stringMatching(/^12 Invalid `properties\.age` field: must be a number\.$/),
      expect.stringMatching(/^13 Invalid `first_name` field: must have at most 200 characters\.$/),
      expect.stringMatching(/^14 The line cannot be read: it has more than 64 KiB\.$/),
      expect.stringMatching(/^15 The line cannot be read: it has more than 64 KiB\.$/),
      // What is left of a line that was too long is read as lines of its own.
      expect.stringMatching(/^16 Invalid `email` field: /),
      expect.stringMatching(/^17 Invalid `email` field: /),
      expect.stringMatching(/^18 The line cannot be read: it has more than 64 KiB\.$/),
      expect.stringMatching(/^19 The line cannot be read: a quote within a cell/),
      expect.stringMatching(/^20 The line cannot be read: it is not UTF-8\.$/),
      expect.stringMatching(/^21 The line cannot be read: it has more than the 3 cells of the header\.$/),
      expect.stringMatching(/^23 Invalid `first_name` field: must not have control characters\.$/),
      expect.stringMatching(/^24 Invalid `email` field: must be an address without a display name\.$/),
    ]);
    expect(found).toEqual(counts(6, 0, 0, lines.length));
    expect(await contact('good3@example.com')).toMatchObject({ properties: { age: { value: 1000 } } });
    expect(await contact('+plus@example.com')).toMatchObject({ first_name: '=1+1' });
  });

  it('refuses a contact that becomes too large, and no other one', async () => {
    for (let n = 0; n < 9; n++) await made('/v1/contact-properties', { key: `big${n}`, type: 'string' });
    const names = Array.from({ length: 9 }, (_, n) => `big${n}`);
    const row = (email: string, length: number) => [email, ...names.map(() => 'x'.repeat(length))].join(',');
    const rows = ['email,'.concat(names.join(','))];
    for (let n = 0; n < 40; n++) rows.push(row(`size${n}@example.com`, n === 17 ? 1990 : 3));
    const { counts: found, refused } = await outcomeOf(rows.join('\n'), { on_conflict: 'upsert' });
    expect(found).toEqual(counts(39, 0, 0, 1));
    expect(refused).toEqual([[19, expect.stringContaining('must fit into 16 KiB')]]);
  });

  it('has no lines where the file has a header alone', async () => {
    expect((await outcomeOf('email')).counts).toEqual(counts(0));
    expect((await outcomeOf('email\r\n\r\n')).counts).toEqual(counts(0));
  });

  it('can be listed by status, and be dropped', async () => {
    const id = await importOf(account, 'email\nlisted@example.com\n');
    await importedBy(account, id);
    const list = (await ask('/v1/contacts/imports?status=completed&limit=1')).body;
    expect(list).toMatchObject({ object: 'list', has_more: true, data: [{ id }] });
    const older = (await ask(`/v1/contacts/imports?after=${id}&limit=2`)).body.data as { id: string }[];
    expect(older.map((one) => one.id < id)).toEqual([true, true]);
    const newer = (await ask(`/v1/contacts/imports?before=${older[1]?.id}&limit=1`)).body;
    expect(newer).toMatchObject({ has_more: true, data: [{ id: older[0]?.id }] });
    expect((await ask('/v1/contacts/imports?status=failed')).body).toMatchObject({ data: [] });
    expect(await ask(`/v1/contacts/imports/${id}`, 'DELETE')).toEqual({
      status: 200,
      body: { object: 'contact_import', id, deleted: true },
    });
    for (const path of [`/v1/contacts/imports/${id}`, `/v1/contacts/imports/${id}/errors`]) {
      expect((await ask(path)).status).toBe(404);
    }
    expect(await contact('listed@example.com')).toMatchObject({ email: 'listed@example.com' });
  });
});

describe('the work', () => {
  const objectOf = ({ id }: TestAccount) => env.OUTBOX.get(env.OUTBOX.idFromName(`${id}/0`));
  const statusOf = async ({ key }: TestAccount, id: string) =>
    (await jsonOf(await call(`/v1/contacts/imports/${id}`, { key }))).status;

  it('rests while the account is suspended, and goes on when it is resumed', async () => {
    const other = await createAccount();
    await callAsOperator(`/v1/admin/accounts/${other.id}/suspend`, { body: {} });
    const id = await importOf(other, 'email\nlater@example.com\n');
    const alarmIn = () =>
      runInDurableObject(
        objectOf(other),
        async (_outbox, { storage }) => ((await storage.getAlarm()) ?? 0) - Date.now(),
      );
    await vi.waitFor(async () => expect(await alarmIn()).toBeGreaterThan(10_000));
    await runDurableObjectAlarm(objectOf(other));
    expect(await statusOf(other, id)).toBe('queued');
    await callAsOperator(`/v1/admin/accounts/${other.id}/resume`, { body: {} });
    expect((await importedBy(other, id)).counts).toEqual(counts(1));
  });

  it('lets the next import go first where a slice fails, and is not forgotten', async () => {
    const other = await createAccount();
    const act = (what: string) => callAsOperator(`/v1/admin/accounts/${other.id}/${what}`, { body: {} });
    await act('suspend');
    const stuck = await importOf(other, 'email\nstuck@example.com\n');
    const piecesOf = (change: (sql: SqlStorage) => void) =>
      runInDurableObject(objectOf(other), (_outbox, { storage }) => change(storage.sql));
    await piecesOf((sql) => sql.exec('UPDATE import_pieces SET piece_number = -piece_number'));
    const next = await importOf(other, 'email\nnext@example.com\n');
    const wake = (id: string) =>
      vi.waitFor(
        async () => {
          await act('resume');
          expect(await statusOf(other, id)).toBe('completed');
        },
        { timeout: 10_000, interval: 50 },
      );
    await wake(next);
    expect(await statusOf(other, stuck)).toBe('queued');
    await piecesOf((sql) => sql.exec('UPDATE import_pieces SET piece_number = -piece_number'));
    await wake(stuck);
  });

  it('is given up where it could not be done for a week, and the file goes', async () => {
    const other = await createAccount();
    await callAsOperator(`/v1/admin/accounts/${other.id}/suspend`, { body: {} });
    const id = await importOf(other, 'email\nnever@example.com\n');
    const old = newId('contactImport', Date.now() - 8 * 24 * 3_600_000);
    await runInDurableObject(objectOf(other), (_outbox, { storage }) => {
      storage.sql.exec('UPDATE imports SET id = ? WHERE id = ?', old, id);
    });
    await vi.waitFor(
      async () => {
        await callAsOperator(`/v1/admin/accounts/${other.id}/suspend`, { body: {} });
        expect(await statusOf(other, old)).toBe('failed');
      },
      { timeout: 10_000, interval: 50 },
    );
    const rows = await runInDurableObject(objectOf(other), (_outbox, { storage }) =>
      storage.sql.exec('SELECT 1 FROM import_pieces').toArray(),
    );
    expect(rows).toEqual([]);
  });

  it('is as many imports at once as an account may have, and no more', async () => {
    const other = await createAccount();
    await callAsOperator(`/v1/admin/accounts/${other.id}/suspend`, { body: {} });
    for (let n = 0; n < 20; n++) await importOf(other, `email\nmany${n}@example.com\n`);
    const response = await postImport(other, 'email\n');
    expect([response.status, textAt(await jsonOf(response), 'code')]).toEqual([409, 'conflict']);
    await callAsOperator(`/v1/admin/accounts/${other.id}/resume`, { body: {} });
    const first = textAt(
      await jsonOf(await call('/v1/contacts/imports', { key: other.key })),
      'data',
      0,
      'id',
    );
    await importedBy(other, first);
    await importOf(other, 'email\n');
  });
});

describe('what is asked for', () => {
  const file = 'email,x,x\na@example.com,1,2\n';
  it.each<[string, string | Uint8Array | Blob, Record<string, string>, string]>([
    ['an unknown column', file, map({ email: 'Mail' }), 'column_map.email'],
    ['a column that is there twice', file, map({ first_name: 'x' }), 'column_map.first_name'],
    ['an unknown property', file, map({ properties: { no: { column: 'x' } } }), 'column_map.properties.no'],
    [
      'a property of another type',
      file,
      map({ properties: { age: { column: 'x', type: 'string' } } }),
      'column_map.properties.age.type',
    ],
    ['an unknown field of the map', file, map({ phone: 'x' }), 'column_map.phone'],
    ['a map that is no JSON', file, { column_map: '{' }, 'column_map'],
    ['a wrong way of conflicts', file, { on_conflict: 'replace' }, 'on_conflict'],
    ['an unknown list', file, { segments: '[{"id":"lst_no"}]' }, 'segments[0].id'],
    ['an unknown topic', file, { topics: '[{"id":"top_no","subscription":"opt_in"}]' }, 'topics[0].id'],
    ['an unknown field', file, { audience: 'x' }, 'audience'],
    ['a file without addresses', 'name\nAnn\n', {}, 'file'],
    ['a file without a header', '', {}, 'file'],
    ['a file in UTF-16', '\ufeffe\0m\0a\0i\0l\0', {}, 'file'],
    ['a header that does not end', `"email,${'x'.repeat(100_000)}`, {}, 'file'],
  ])('is refused with %s, and the field named', async (_name, given, fields, field) => {
    const response = await postImport(account, given, fields);
    const body = await jsonOf(response);
    expect([response.status, textAt(body, 'message')]).toEqual([
      422,
      expect.stringContaining(`\`${field}\``),
    ]);
  });

  it('leaves nothing of a refused file behind', async () => {
    const other = await createAccount();
    const response = await postImport(other, `name\n${'x'.repeat(3_000_000)}`);
    expect(response.status).toBe(422);
    const object = env.OUTBOX.get(env.OUTBOX.idFromName(`${other.id}/0`));
    const rows = await runInDurableObject(object, (_outbox, { storage }) =>
      storage.sql.exec('SELECT id FROM imports UNION ALL SELECT piece_number FROM import_pieces').toArray(),
    );
    expect(rows).toEqual([]);
  });

  it('must be a whole multipart/form-data body with one file', async () => {
    const post = async (body: string, type = 'multipart/form-data; boundary=b') => {
      const headers = { authorization: `Bearer ${account.key}`, 'content-type': type };
      const url = 'https://relay.test/v1/contacts/imports';
      const response = await send(new Request(url, { method: 'POST', headers, body }));
      return [response.status, textAt(await jsonOf(response), 'code')];
    };
    const part = (name: string, text: string) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
    expect(await post('{}', 'application/json')).toEqual([415, 'unsupported_content_type']);
    expect(await post('', 'multipart/form-data')).toEqual([415, 'unsupported_content_type']);
    expect(await post('', 'multipart/form-data; x=y')).toEqual([422, 'invalid_field']);
    expect(await post('')).toEqual([422, 'invalid_field']);
    expect(await post('--b--\r\n')).toEqual([422, 'missing_field']);
    expect(await post(part('file', 'email\na@example.com'))).toEqual([422, 'invalid_field']);
    const file = part('file', 'email\r\na@example.com');
    expect(await post(`${file}${file}--b--\r\n`)).toEqual([422, 'invalid_field']);
    expect(await post(`${part('topics', ' '.repeat(70_000))}${file}--b--\r\n`)).toEqual([
      422,
      'invalid_field',
    ]);
    expect(await post(`${part('on_conflict', 'skip')}${file}--b--`)).toEqual([201, 'undefined']);
  });
});

describe('an export', () => {
  it('has every contact with every property, and reads back as it was', async () => {
    const other = await createAccount();
    const create = (path: string, body: unknown) => call(path, { key: other.key, body });
    await create('/v1/contact-properties', { key: 'note', type: 'string' });
    await create('/v1/contact-properties', { key: 'email', type: 'number' });
    const list = textAt(await jsonOf(await create('/v1/lists', { name: 'One' })), 'id');
    const properties = { note: '=HYPERLINK("x","y")', email: -5 };
    await create('/v1/contacts', { email: '+a@example.com', first_name: '@x', properties });
    await create('/v1/contacts', { email: 'b@example.com', last_name: 'B,"b"', segments: [{ id: list }] });
    const csv = await call('/v1/contacts/export?format=csv', { key: other.key });
    expect(csv.headers.get('content-disposition')).toBe('attachment; filename="contacts.csv"');
    expect(csv.headers.get('cache-control')).toBe('no-store');
    const text = await csv.text();
    const time = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z';
    expect(text.split('\r\n')).toEqual([
      'id,email,first_name,last_name,unsubscribed,created_at,updated_at,properties.email,note',
      expect.stringMatching(new RegExp(`^con_\\w+,b@example.com,,"B,""b""",false,${time},${time},,$`)),
      expect.stringMatching(
        new RegExp(
          `^con_\\w+,'\\+a@example.com,'@x,,false,${time},${time},-5,"'=HYPERLINK\\(""x"",""y""\\)"$`,
        ),
      ),
      'export_end,2,,,,,,,',
      '',
    ]);
    const jsonl = await call(`/v1/contacts/export?format=jsonl&segment_id=${list}`, { key: other.key });
    const lines = (await jsonl.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toEqual([
      expect.objectContaining({ object: 'contact', email: 'b@example.com', properties: {} }),
      { object: 'export_end', count: 1 },
    ]);
    const body = await importedBy(other, await importOf(other, text, { on_conflict: 'upsert' }));
    // The last line of an export is none of a contact.
    expect(body.counts).toEqual(counts(0, 2, 0, 1));
    const again = await call('/v1/contacts/export?format=csv', { key: other.key });
    expect(await again.text()).toBe(text);
  });

  it('reads on over many pages', async () => {
    const other = await createAccount();
    const rows = Array.from({ length: 1234 }, (_, n) => `page${n}@example.com`);
    const id = await importOf(other, `email\n${rows.join('\n')}`);
    expect((await importedBy(other, id)).counts).toEqual(counts(1234));
    const csv = await (await call('/v1/contacts/export?format=csv', { key: other.key })).text();
    const emails = csv
      .trim()
      .split('\r\n')
      .slice(1, -1)
      .map((line) => line.split(',')[1]);
    // Newest first, and later lines are newer.
    expect(emails).toEqual(rows.reverse());
  });

  it('of a list that is not there is not found', async () => {
    const response = await call('/v1/contacts/export?format=csv&segment_id=lst_no', { key: account.key });
    expect(response.status).toBe(404);
  });
});
