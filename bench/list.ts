/** What a page of a list costs on a small ledger and on a large one. What the figures mean is in README.md. */
import { ApiClient, openAccount } from '../test/support/api-client.ts';
import { ADMIN_TOKEN } from '../test/support/relay-under-test.ts';
import { startBenchRelay } from './bench-relay.ts';
import { type Figures, figureOf, millisecondsOf, pairs, RUNS, ratios } from './figures.ts';
import { freePort } from './free-port.ts';
import type { Filling } from './list-worker.ts';

const SMALL = 1000;
const LARGE = 100_000;
const FILL_AT_ONCE = 5000;
/** More than a page. */
const RARE = 25;
const PAGES = 50;

/** `middle` stands for an id in the middle of the ledger. */
const LISTS = {
  first: 'limit=20',
  middle: 'limit=20&after=middle',
  recipient: 'limit=20&recipient=rare@example.com',
  tag: 'limit=20&tag=campaign:spring',
  rare_status: 'limit=20&status=failed',
} as const;

export async function measureList(): Promise<Figures> {
  const { relay } = await startBenchRelay({ entry: 'list-worker.ts', port: await freePort() });
  try {
    const small = await filledAccount(relay.url, SMALL);
    const large = await filledAccount(relay.url, LARGE);
    const figures: Figures = {};
    const all = {
      ours: Array.from({ length: RUNS + 2 }, () => 0),
      theirs: Array.from({ length: RUNS + 2 }, () => 0),
    };
    for (const [name, query] of Object.entries(LISTS)) {
      await large(query);
      await small(query);
      const found = await pairs(
        RUNS + 2,
        () => large(query),
        () => small(query),
      );
      found.ours.forEach((ms, run) => {
        all.ours[run] = (all.ours[run] ?? 0) + ms;
      });
      found.theirs.forEach((ms, run) => {
        all.theirs[run] = (all.theirs[run] ?? 0) + ms;
      });
      figures[`list.${name}_1k_vs_100k`] = figureOf(ratios(found.ours, found.theirs), {
        unit: 'ratio',
        goal: '<= 1.5',
      });
      figures[`list.${name}_page_ms`] = figureOf(found.ours, { unit: 'ms', goal: 'none' });
    }
    return {
      'list.page_ms_1k_vs_100k': figureOf(ratios(all.ours, all.theirs), { unit: 'ratio', goal: '<= 1.5' }),
      ...figures,
    };
  } finally {
    await relay.stop();
  }
}

/** Fills the ledger of a new account, and returns what measures milliseconds per page of it. */
async function filledAccount(url: URL, total: number): Promise<(query: string) => Promise<number>> {
  const { id, client } = await openAccount(url, ADMIN_TOKEN, { relay: { port: await freePort() } });
  const operator = new ApiClient(url, ADMIN_TOKEN);
  const filledMs = await millisecondsOf(async () => {
    for (let from = 0; from < total; from += FILL_AT_ONCE) {
      const filling: Filling = { from, to: Math.min(from + FILL_AT_ONCE, total), total, rare: RARE };
      const response = await fetch(new URL(`/bench/fill?account=${id}`, operator.url), {
        method: 'POST',
        body: JSON.stringify(filling),
      });
      if (!response.ok) throw new Error(`not filled: ${(await response.text()).slice(0, 500)}`);
    }
  });
  console.error(`list: ${total} messages filled in ${(filledMs / 1000).toFixed(0)} s`);
  const middle = await middleOf(client);
  return async (query) => {
    const path = `/v1/emails?${query.replace('middle', middle)}`;
    const ms = await millisecondsOf(async () => {
      for (let page = 0; page < PAGES; page++) {
        const { status, body } = await client.get(path);
        if (status !== 200 || body.data.length !== 20)
          throw new Error(`no page: ${JSON.stringify(body).slice(0, 500)}`);
      }
    });
    return ms / PAGES;
  };
}

/** Half-way between the oldest of the rare messages and the newest, there are as many of them on either side. */
async function middleOf(client: ApiClient): Promise<string> {
  const { body } = await client.get('/v1/emails?limit=100&recipient=rare@example.com');
  return body.data[Math.floor(RARE / 2)].id;
}
