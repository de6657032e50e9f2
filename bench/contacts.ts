/** What contacts cost in an account with few of them and in one with many. What the figures mean is in README.md. */
import { readdir, readFile } from 'node:fs/promises';
import type { TestAccount } from '../test/support/api-client.ts';
import { startBenchRelay } from './bench-relay.ts';
import type { ContactFilling, Filled } from './contacts-worker.ts';
import { type Figures, figureOf, millisecondsOf, pairs, RUNS, ratios } from './figures.ts';
import { freePort } from './free-port.ts';

const SMALL = 1000;
const LARGE = 100_000;
const LARGE_IN_FULL = 1_000_000;
const FILL_AT_ONCE = 5000;
/** As many in each account. */
const RARE = 40;
const REPEATED = 20;

interface Filler {
  readonly rowsPerContact: number;
  readonly bytesPerContact: number;
  readonly filledMs: number;
  readonly peakMb: number | undefined;
  readonly acts: Readonly<Record<string, () => Promise<number>>>;
  readonly stop: () => Promise<void>;
}

export async function measureContacts({ isFull }: { isFull: boolean }): Promise<Figures> {
  const total = isFull ? LARGE_IN_FULL : LARGE;
  const large = await filledAccount(total);
  const small = await filledAccount(SMALL);
  try {
    const figures: Figures = {};
    for (const [name, ours] of Object.entries(large.acts)) {
      const theirs = small.acts[name];
      if (!theirs) continue;
      await ours();
      await theirs();
      const found = await pairs(RUNS + 2, ours, theirs);
      figures[`contacts.${name}_vs_1k`] = figureOf(ratios(found.ours, found.theirs), {
        unit: 'ratio',
        // Hashes fall anywhere into their index: the larger it is, the more pages a write touches.
        goal: name.startsWith('write') ? 'none' : '<= 1.5',
      });
      figures[`contacts.${name}_ms`] = figureOf(found.ours, { unit: 'ms', goal: 'none' });
    }
    const one = (value: number, unit: string) => figureOf([value], { unit, goal: 'none' });
    return {
      ...figures,
      'contacts.total': one(total, 'contacts'),
      'contacts.written_per_second': one((total / large.filledMs) * 1000, 'contacts/s'),
      'contacts.rows_written_each': one(large.rowsPerContact, 'rows'),
      'contacts.database_bytes_each': one(large.bytesPerContact, 'bytes'),
      ...(large.peakMb !== undefined && { 'contacts.peak_memory': one(large.peakMb, 'MB') }),
    };
  } finally {
    await Promise.all([large.stop(), small.stop()]);
  }
}

/** A database of its own, filled; and what is measured on it, in milliseconds for each call. */
async function filledAccount(total: number): Promise<Filler> {
  const before = await workerdPids();
  const { relay, account } = await startBenchRelay({ entry: 'contacts-worker.ts', port: await freePort() });
  const pids = [...(await workerdPids())].filter((pid) => !before.has(pid));
  const ids = await setUp(account);
  let [rowsWritten, databaseBytes] = [0, 0];
  const post = async (filling: ContactFilling): Promise<Filled> => {
    const url = new URL(`/bench/fill?account=${account.id}`, relay.url);
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(filling) });
    if (!response.ok) throw new Error(`not filled: ${(await response.text()).slice(0, 500)}`);
    return (await response.json()) as Filled;
  };
  const filling = { rareEvery: Math.floor(total / RARE), listId: ids.list };
  const filledMs = await millisecondsOf(async () => {
    for (let from = 0; from < total; from += FILL_AT_ONCE) {
      const part = await post({ ...filling, from, to: Math.min(from + FILL_AT_ONCE, total) });
      rowsWritten += part.rowsWritten;
      databaseBytes = part.databaseBytes;
    }
  });
  console.error(
    `contacts: ${total} written in ${(filledMs / 1000).toFixed(0)} s, ${(databaseBytes / 1e6).toFixed(0)} MB`,
  );
  let next = total;
  const peakMb = await peakOf(pids);
  return {
    rowsPerContact: rowsWritten / total,
    bytesPerContact: databaseBytes / total,
    filledMs,
    peakMb,
    acts: await actsOf(relay.url, account, {
      ...ids,
      total,
      write: async () => {
        await post({ ...filling, rareEvery: Number.MAX_SAFE_INTEGER, from: next, to: next + 500 });
        next += 500;
      },
    }),
    stop: () => relay.stop(),
  };
}

async function setUp({ client }: TestAccount) {
  const made = async (path: string, body: object): Promise<string> => {
    const answer = await client.post(path, body);
    if (answer.status !== 201) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  };
  await made('/v1/contact-properties', { key: 'plan', type: 'string', is_filterable: true });
  await made('/v1/contact-properties', { key: 'city', type: 'string' });
  return {
    list: await made('/v1/lists', { name: 'Everybody' }),
    rare: await made('/v1/lists', { name: 'Rare', filter: { property: 'plan', equals: 'rare' } }),
    mixed: await made('/v1/lists', {
      name: 'Mixed',
      filter: { and: [{ property: 'plan', equals: 'plan3' }, { unsubscribed: false }] },
    }),
    topic: await made('/v1/topics', { name: 'News', default_subscription: 'opt_in' }),
  };
}

async function actsOf(
  url: URL,
  { id, client }: TestAccount,
  with_: Awaited<ReturnType<typeof setUp>> & { total: number; write: () => Promise<void> },
): Promise<Filler['acts']> {
  const { list, rare, mixed, topic, total, write } = with_;
  const page = async (path: string, wanted = 20) => {
    const { status, body } = await client.get(path);
    if (status !== 200 || (body.data ?? body.contacts).length !== wanted) {
      throw new Error(`${path}: ${JSON.stringify(body).slice(0, 300)}`);
    }
    return body;
  };
  // Of those with the rare plan as many are on either side.
  const { data } = await page(`/v1/segments/${rare}/contacts?limit=100`, RARE);
  const middle = data[RARE / 2].id;
  const number = () => Math.floor(Math.random() * total);
  const person = () => {
    const it = number();
    return `person${it}@domain${it % 1000}.example`;
  };
  const recipients = `${new URL('/bench/recipients', url).pathname}?account=${id}&list=${list}&topic=${topic}`;
  const repeated =
    (act: () => Promise<unknown>, times = REPEATED) =>
    async () => {
      const ms = await millisecondsOf(async () => {
        for (let time = 0; time < times; time++) await act();
      });
      return ms / times;
    };
  return {
    first_page: repeated(() => page('/v1/contacts?limit=20')),
    middle_page: repeated(() => page(`/v1/contacts?limit=20&after=${middle}`)),
    list_page: repeated(() => page(`/v1/segments/${list}/contacts?limit=20&after=${middle}`)),
    look_up: repeated(async () => {
      const { status } = await client.get(`/v1/contacts/${person()}`);
      if (status !== 200) throw new Error(`not found: ${status}`);
    }),
    rare_segment_page: repeated(() => page(`/v1/segments/${rare}/contacts?limit=15`, 15)),
    common_segment_page: repeated(() => page(`/v1/segments/${mixed}/contacts?limit=20&after=${middle}`)),
    broadcast_page: repeated(() => page(`${recipients}&cursor=${middle}`, 100)),
    write_500: repeated(write, 4),
  };
}

/** Linux only: elsewhere there is no figure for memory. */
async function workerdPids(): Promise<ReadonlySet<string>> {
  const names = (await readdir('/proc').catch(() => [])).filter((text) => /^\d+$/.test(text));
  const found = await Promise.all(
    names.map(async (pid) => {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
      return name.trim() === 'workerd' && parent === String(process.pid) ? [pid] : [];
    }),
  );
  return new Set(found.flat());
}

async function peakOf(pids: readonly string[]): Promise<number | undefined> {
  const [pid] = pids;
  if (pid === undefined) return undefined;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /VmHWM:\s+(\d+)/.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
}
