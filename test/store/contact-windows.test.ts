/** Pages that have to look through contacts: they end where a window does, and nobody is lost or twice. */
import { env } from 'cloudflare:workers';
import { beforeAll, expect, it } from 'vitest';
import { domainHash } from '../../src/crypto/contact-hash.ts';
import { getDataKeys } from '../../src/services/account-state.ts';
import { contactInputOf } from '../../src/services/contact-input.ts';
import { operatorContext, type ServiceContext } from '../../src/services/service-context.ts';
import { upsertContacts } from '../../src/services/upsert-contacts.ts';
import { readContactSlice } from '../../src/store/contact-pages.ts';
import { type Condition, selectionOf } from '../../src/store/contact-selection.ts';
import { call, createAccount, jsonOf, textAt } from '../support/control-plane.ts';

const COUNT = 23;
let context: ServiceContext;
let list: string;
/** Oldest first: every third is unsubscribed, every fourth at another domain, every second on the list. */
const ids: string[] = [];

beforeAll(async () => {
  const account = await createAccount();
  context = operatorContext(env as never, account.id, 'req_test');
  list = textAt(await jsonOf(await call('/v1/lists', { key: account.key, body: { name: 'L' } })), 'id');
  const made: string[] = [];
  for (let number = 0; number < COUNT; number++) {
    const domain = number % 4 === 0 ? 'four.example' : 'other.example';
    const input = contactInputOf(new Map(), {
      email: `p${number}@${domain}`,
      unsubscribed: number % 3 === 0,
    });
    const [one] = await upsertContacts(context, [input], {
      onConflict: 'upsert',
      lists: number % 2 === 0 ? [{ id: list, status: 'confirmed' }] : [],
      filterable: new Set(),
    });
    made.push(one?.id ?? '');
  }
  ids.push(...made);
});

const sorted = (numbers: readonly number[]) => numbers.map((number) => ids[number] ?? '').sort();
const numbersWhere = (holds: (number: number) => boolean) => [...ids.keys()].filter(holds);

async function cases(): Promise<readonly (readonly [Condition[], (number: number) => boolean])[]> {
  const domain: Condition = {
    kind: 'domain',
    hash: domainHash(await getDataKeys(context), 'four.example'),
  };
  const free: Condition = { kind: 'unsubscribed', value: false };
  const member: Condition = { kind: 'member', listId: list };
  const by = {
    four: (number: number) => number % 4 === 0,
    free: (number: number) => number % 3 !== 0,
    member: (number: number) => number % 2 === 0,
  };
  return [
    [[free], by.free],
    [[member, free], (number) => by.member(number) && by.free(number)],
    [[domain, free], (number) => by.four(number) && by.free(number)],
    [[{ kind: 'or', of: [domain, free] }], (number) => by.four(number) || by.free(number)],
    [
      [{ kind: 'not', of: { kind: 'or', of: [member, free] } }],
      (number) => !by.member(number) && !by.free(number),
    ],
    [[member, { kind: 'not', of: member }], () => false],
  ];
}

it.each([
  ['after', 1],
  ['after', 3],
  ['after', 50],
  ['before', 1],
  ['before', 3],
  ['before', 50],
] as const)(
  'With `%s` and windows of %d candidates every page together is the selection',
  async (way, window) => {
    for (const [conditions, holds] of await cases()) {
      const selection = selectionOf(context.scope.accountId, ...conditions);
      const found: string[] = [];
      let cursor: string | undefined = way === 'before' ? 'con_' : undefined;
      for (let slices = 0; ; slices++) {
        expect(slices).toBeLessThan(2 * COUNT);
        const page = way === 'before' ? { before: cursor } : { after: cursor };
        const { rows, scannedTo } = await readContactSlice(context.scope, selection, {
          ...page,
          limit: 2,
          window,
        });
        const shown = rows.slice(0, 2).map(({ id }) => id);
        found.push(...shown);
        cursor = rows.length > 2 ? shown.at(-1) : scannedTo;
        if (cursor === undefined) break;
      }
      const wanted = sorted(numbersWhere(holds));
      expect(found).toEqual(way === 'before' ? wanted : wanted.reverse());
    }
  },
);
