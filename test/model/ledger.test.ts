/**
 * The ledger beside a plain map, under any order of commands: every open message is handed out exactly once, after
 * any restart too; nothing that is closed or in hand is; the backlog is right; the low-water mark passes nothing.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  AT_ONCE,
  DAY_MS,
  ENDED,
  type Fate,
  fateOf,
  HELD,
  KEPT,
  LedgerModel,
  LedgerUnderTest,
  RECIPIENTS,
} from './ledger-model.ts';

type LedgerCommand = fc.Command<LedgerModel, LedgerUnderTest>;

function command(
  name: string,
  run: (model: LedgerModel, real: LedgerUnderTest) => void,
  check: (model: LedgerModel) => boolean = () => true,
): LedgerCommand {
  return {
    check: (model) => check(model),
    run: (model, real) => {
      run(model, real);
      real.expectLike(model);
    },
    toString: () => name,
  };
}

/** The pick-th of some, whatever their number. */
function pickOf<T>(from: readonly T[], pick: number): T {
  const picked = from[pick % from.length];
  if (picked === undefined) throw new Error('nothing to pick from');
  return picked;
}

const hasInHand = (model: LedgerModel) => model.idsOf(({ inHand }) => inHand).length > 0;
const isResolvable = ({ inHand, fates }: { inHand: boolean; fates: readonly Fate[] }) =>
  !inHand && fates.some(({ is }) => is === 'held');

const accepts = fc
  .array(fc.oneof(fc.integer({ min: -25_000, max: 5_000 }), fc.integer({ min: -DAY_MS, max: DAY_MS })), {
    minLength: 1,
    maxLength: 6,
  })
  .map((skews) =>
    command(`accept(${skews})`, (model, real) => {
      const ids = real.accept(
        skews.map((skewMs) => model.nowMs + skewMs),
        model.nowMs,
      );
      for (const id of ids) {
        const fates = RECIPIENTS.map(() => AT_ONCE);
        model.messages.set(id, { fates, takeableAtMs: 0, inHand: false, atDot: false });
      }
    }),
  );

const takes = fc.integer({ min: 1, max: 5 }).map((times) =>
  command(`take x${times}`, (model, real) => {
    for (let i = 0; i < times; i++) {
      const takeable = model.takeable();
      const item = real.ledger.queue.take(model.nowMs);
      if (takeable.length === 0) expect(item).toBeUndefined();
      if (!item) {
        expect(takeable).toEqual([]);
        return;
      }
      expect(takeable).toContain(item.id);
      const message = model.find(item.id);
      message.inHand = true;
      expect(item.dot?.pending === true).toBe(message.atDot);
      // As it was written last, and not as it was when it was made ready.
      expect(item.progress.deliveries.map(fateOf)).toEqual(message.fates.map(({ is }) => is));
      real.hand.set(item.id, item);
    }
  }),
);

const releases = fc.nat().map((pick) =>
  command(
    `release(${pick})`,
    (model, real) => {
      const id = pickOf(
        model.idsOf(({ inHand, atDot }) => inHand && !atDot),
        pick,
      );
      const item = real.hand.get(id);
      if (!item) throw new Error('not in hand');
      real.ledger.queue.release(item);
      real.hand.delete(id);
      model.find(id).inHand = false;
      model.find(id).isRevoked = false;
    },
    (model) => model.idsOf(({ inHand, atDot }) => inHand && !atDot).length > 0,
  ),
);

/** A commit is about one message in hand or more: where it goes from here. */
const outcomes = fc.record({
  pick: fc.nat(),
  atDot: fc.boolean(),
  first: fc.constantFrom<('ended' | 'held' | 'later' | 'at once')[]>(
    'ended',
    'ended',
    'held',
    'later',
    'at once',
  ),
  second: fc.constantFrom<('ended' | 'held' | 'later' | 'at once')[]>(
    'ended',
    'ended',
    'held',
    'later',
    'at once',
  ),
  delayMs: fc.integer({ min: 1, max: 90_000 }),
});
const commits = fc.array(outcomes, { minLength: 1, maxLength: 3 }).map((decided) =>
  command(
    `commit(${JSON.stringify(decided)})`,
    (model, real) => {
      const changes = new Map<string, { fates: readonly Fate[]; atDot: boolean }>();
      for (const { pick, atDot, first, second, delayMs } of decided) {
        const id = pickOf(
          model.idsOf(({ inHand }) => inHand),
          pick,
        );
        const message = model.find(id);
        if (atDot && !message.atDot) {
          changes.set(id, {
            fates: message.fates.map((fate) => (fate.is === 'open' ? AT_ONCE : fate)),
            atDot: true,
          });
          continue;
        }
        const next = [first, second].map((kind): Fate => {
          if (kind === 'ended') return ENDED;
          if (kind === 'held') return HELD;
          return kind === 'later' ? { is: 'open', atMs: model.nowMs + delayMs } : AT_ONCE;
        });
        const fates = message.fates.map((fate, index) => (fate.is === 'open' ? (next[index] ?? fate) : fate));
        changes.set(id, { fates, atDot: false });
      }
      real.commit(
        [...changes].map(([id, change]) => {
          const item = real.hand.get(id);
          if (!item) throw new Error('not in hand');
          return { item, ...change };
        }),
      );
      for (const [id, { fates, atDot }] of changes) {
        const message = model.find(id);
        if (message.isRevoked) model.settle(id, message.fates, false);
        else model.settle(id, fates, atDot);
        message.isRevoked = false;
      }
    },
    hasInHand,
  ),
);

/** The customer decides about a doubt that is held, while other recipients of the message may still be open. */
const resolutions = fc.record({ pick: fc.nat(), resend: fc.boolean() }).map(({ pick, resend }) =>
  command(
    `resolve(${pick}, ${resend ? 'resend' : 'drop'})`,
    (model, real) => {
      const id = pickOf(model.idsOf(isResolvable), pick);
      const message = model.find(id);
      const item = real.ledger.messages.find(id);
      if (!item) throw new Error('a message is missing');
      const at = message.fates.findIndex(({ is }) => is === 'held');
      const fate: Fate = resend ? { is: 'open', atMs: model.nowMs } : ENDED;
      const fates = message.fates.map((before, index) => (index === at ? fate : before));
      real.commit([{ item, fates, atDot: message.atDot }]);
      model.settle(id, fates, message.atDot);
    },
    (model) => model.idsOf(isResolvable).length > 0,
  ),
);

/** One recipient of a message is erased, whoever has it in hand; the other is still to be mailed. */
const erasures = fc.nat().map((pick) =>
  command(
    `erase(${pick})`,
    (model, real) => {
      const id = pickOf(
        model.idsOf(({ atDot }) => !atDot),
        pick,
      );
      const message = model.find(id);
      real.erase(id, model.nowMs);
      message.fates = message.fates.map((fate, index) => (index === 0 ? ENDED : fate));
      message.isRevoked = message.inHand;
      model.place(message);
    },
    (model) => model.idsOf(({ atDot }) => !atDot).length > 0,
  ),
);

const others = [
  fc.integer({ min: -30_000, max: 60_000 }).map((ms) =>
    command(`clock(${ms})`, (model) => {
      model.nowMs += ms;
    }),
  ),
  fc.constant(
    command('saveLowWater', (_model, real) => {
      real.ledger.queue.saveLowWater();
    }),
  ),
  fc.constant(
    command('restart', (model, real) => {
      real.restart();
      model.forgetHands();
    }),
  ),
  fc.constant(
    command('forgetHand', (model, real) => {
      real.ledger.queue.forgetHand();
      real.hand.clear();
      model.forgetHands();
    }),
  ),
  fc.integer({ min: 1, max: 100 }).map((limit) =>
    command(`expire(${limit})`, (model, real) => {
      const overdue = real.ledger.findOverdue(model.nowMs + DAY_MS / 2, limit);
      for (const { id } of overdue) {
        const { inHand, atDot, takeableAtMs } = model.find(id);
        expect({ inHand, atDot, isOpen: takeableAtMs !== undefined }).toEqual({
          inHand: false,
          atDot: false,
          isOpen: true,
        });
      }
      const ended = (id: string) => model.find(id).fates.map((fate) => (fate.is === 'open' ? ENDED : fate));
      expect(real.ledger.expire(model.nowMs + DAY_MS / 2, limit, model.nowMs)).toBe(overdue.length);
      for (const { id } of overdue) model.settle(id, ended(id), false);
    }),
  ),
  fc.integer({ min: 0, max: 4 }).map((days) =>
    command(`sweep in ${days} days`, (model, real) => {
      model.nowMs += days * DAY_MS;
      real.ledger.sweep(model.nowMs, KEPT);
      for (const [id, message] of model.messages) {
        if (real.ledger.messages.find(id)) continue;
        expect(message.fates.every(({ is }) => is === 'ended')).toBe(true);
        model.messages.delete(id);
      }
    }),
  ),
];

/** Restarted, every open message comes exactly once, and nothing else. */
function expectAllFound(model: LedgerModel, real: LedgerUnderTest): void {
  real.restart();
  model.forgetHands();
  model.nowMs += 100 * DAY_MS;
  const expected = model.takeable().sort();
  const found: string[] = [];
  for (let i = 0; i <= expected.length; i++) {
    const item = real.ledger.queue.take(model.nowMs);
    if (item) found.push(item.id);
  }
  expect(found.sort()).toEqual(expected);
}

test('whatever happens, each open message is handed out once, also after a restart, and nothing else is', () => {
  const sequences = fc.commands(
    [accepts, takes, takes, releases, commits, commits, commits, resolutions, erasures, ...others],
    {
      maxCommands: 60,
      size: 'max',
    },
  );
  fc.assert(
    fc.property(sequences, (commands) => {
      const model = new LedgerModel();
      const real = new LedgerUnderTest();
      fc.modelRun(() => ({ model, real }), commands);
      expectAllFound(model, real);
    }),
    { numRuns: 250 },
  );
}, 60_000);
