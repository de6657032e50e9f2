/**
 * Filtered lists beside a filter over all messages, under any order of acceptances (with clocks that are off by up
 * to a day), changes of state, low-water marks, restarts and sweeps; segments of eight pairs, so that each run makes
 * many. Every page is compared, in both directions.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DAY_MS, type Fate, ListsUnderTest, type NewMessage, type Wish } from './list-model.ts';

const ADDRESSES = ['ann@a.example', 'Ann@a.example', 'bob@a.example', 'zoe@z.example'];
const RELAYS = ['rly_a', 'rly_b'];
const VALUES = ['x', 'y'];
const STATUSES = ['queued', 'sending', 'deferred', 'delivered', 'failed', 'expired', 'in_doubt'] as const;

const skews = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -50, max: 50 }) },
  { weight: 2, arbitrary: fc.integer({ min: -25_000, max: 5_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: -DAY_MS, max: DAY_MS }) },
);
const messages: fc.Arbitrary<NewMessage> = fc.record({
  skewMs: skews,
  recipients: fc.uniqueArray(fc.constantFrom(...ADDRESSES), { minLength: 1, maxLength: 3 }),
  tags: fc.uniqueArray(
    fc.record({ name: fc.constantFrom('kind', 'team'), value: fc.constantFrom(...VALUES) }),
    { maxLength: 2, selector: ({ name }) => name },
  ),
});
const fates: fc.Arbitrary<Fate> = fc.record(
  {
    status: fc.constantFrom<Fate['status'][]>(
      'delivered',
      'delivered',
      'failed',
      'expired',
      'deferred',
      'in_doubt',
    ),
    relayId: fc.constantFrom(...RELAYS),
    delayMs: fc.integer({ min: 0, max: 90_000 }),
  },
  { requiredKeys: ['status'] },
);
const wishes = (nowMs: number): fc.Arbitrary<Wish> => {
  const times = fc.integer({ min: nowMs - 3 * DAY_MS, max: nowMs + 3 * DAY_MS });
  return fc.record(
    {
      recipient: fc.constantFrom(...ADDRESSES, 'nobody@a.example'),
      tag: fc.constantFrom('kind', 'team', 'kind=x', 'team=y'),
      status: fc.constantFrom(...STATUSES),
      relayId: fc.constantFrom(...RELAYS),
      sinceMs: times,
      untilMs: times,
    },
    { requiredKeys: [] },
  );
};

type Step = (lists: ListsUnderTest) => void;
function step(name: string, run: Step): Step {
  return Object.assign(run, { toString: () => name });
}

const START_MS = new ListsUnderTest().nowMs;
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .array(messages, { minLength: 1, maxLength: 5 })
      .map((accepted) => step(`accept(${JSON.stringify(accepted)})`, (lists) => lists.accept(accepted))),
  },
  { weight: 4, arbitrary: fc.constant(step('take', (lists) => lists.take())) },
  {
    weight: 6,
    arbitrary: fc
      .record({
        pick: fc.nat(),
        decided: fc.array(fates, { minLength: 1, maxLength: 3 }),
        atDot: fc.boolean(),
        inHand: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
      })
      .map(({ pick, decided, ...place }) =>
        step(`change(${pick}, ${JSON.stringify({ decided, ...place })})`, (lists) =>
          lists.change(pick, decided, place),
        ),
      ),
  },
  { weight: 2, arbitrary: fc.constant(step('saveLowWater', (lists) => lists.saveLowWater())) },
  { weight: 1, arbitrary: fc.constant(step('restart', (lists) => lists.restart())) },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 0, max: 40_000 }).map((ms) =>
      step(`clock(${ms})`, (lists) => {
        lists.nowMs += ms;
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 0, max: 3 })
      .map((days) => step(`sweep in ${days} days`, (lists) => lists.sweep(days))),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        wish: wishes(START_MS),
        limit: fc.integer({ min: 1, max: 4 }),
        direction: fc.constantFrom('after' as const, 'before' as const),
      })
      .map(({ wish, limit, direction }) =>
        step(`list(${JSON.stringify(wish)}, ${limit}, ${direction})`, (lists) => {
          const { found, expected } = lists.walk(wish, limit, direction);
          expect(found).toEqual(expected);
        }),
      ),
  },
);

const EACH: readonly Wish[] = [
  ...ADDRESSES.map((recipient) => ({ recipient })),
  ...STATUSES.map((status) => ({ status })),
  ...RELAYS.map((relayId) => ({ relayId })),
  { tag: 'kind' },
  { tag: 'team=y' },
];

function expectAll(lists: ListsUnderTest, wish: Wish): void {
  const { found, expected } = lists.walk(wish, 100, 'after');
  expect(found).toEqual(expected);
}

test('whatever happened before, a filtered list is what a filter over all messages gives, page by page', () => {
  let indexRows = 0;
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 60, size: 'max' }), (sequence) => {
      const lists = new ListsUnderTest();
      for (const run of sequence) run(lists);
      indexRows += lists.countIndexRows();
      lists.restart();
      for (const wish of EACH) expectAll(lists, wish);
    }),
    { numRuns: 200 },
  );
  // Else nothing but the memory was tried.
  expect(indexRows).toBeGreaterThan(500);
}, 120_000);
