/** What can happen to a message, each command to the world and to the code under test. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { nextDueAt } from '../../src/delivery/progress.ts';
import { expectLike } from './delivery-checks.ts';
import type { MessageUnderTest, Policy } from './message-under-test.ts';
import { mostlyYes, type Said, TO_DATA, TO_DOT, TO_MAIL, TO_RCPT } from './replies.ts';
import { ACCEPTED_AT, RETRY, type World } from './world.ts';

const ENDS_AT = ACCEPTED_AT + RETRY.forMs;

type DeliveryCommand = fc.Command<World, MessageUnderTest>;
type Station = World['station'];

function command(
  name: string,
  at: Station | ((world: World) => boolean),
  run: (world: World, real: MessageUnderTest) => void,
): DeliveryCommand {
  return {
    check: (world) => (typeof at === 'function' ? at(world) : world.station === at),
    run: (world, real) => {
      const before = real.progress;
      run(world, real);
      expectLike(world, real, before);
    },
    toString: () => name,
  };
}

const chance = fc.record({
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  hasAlternative: fc.boolean(),
  pauseMs: fc.integer({ min: 1, max: 900_000 }),
});
type Chance = typeof chance extends fc.Arbitrary<infer C> ? C : never;
const policies = fc.constantFrom<Policy[]>('retry', 'retry', 'hold');

const contextOf = (world: World, { random, hasAlternative }: Chance) => world.context(random, hasAlternative);
const closedFor = (world: World, { hasAlternative, pauseMs }: Chance) => ({
  untilMs: world.nowMs + (hasAlternative ? 0 : pauseMs),
});
const isAtRest = (world: World) => world.station === 'rest';
/** Past the dot there is no failover. */
const pastDot = (by: Chance): Chance => ({ ...by, hasAlternative: false });

const takes = fc.record({ policy: policies, by: chance }).map(({ policy, by }) =>
  command(
    `take(${policy})`,
    (world) => isAtRest(world) && world.open().length > 0,
    (world, real) => {
      const dueAtMs = nextDueAt(real.progress);
      expect(dueAtMs).toBeDefined();
      // The pump waits for the time. A clock that was set back only makes it wait longer.
      world.nowMs = Math.max(world.nowMs, dueAtMs ?? 0);
      const offered = real.take(policy, contextOf(world, pastDot(by)));
      if (world.isVerdictLost) {
        expect(offered).toBeUndefined();
        world.loseVerdict(policy);
        return;
      }
      expect(offered).toEqual(world.open());
      world.offered = world.open();
      world.station = 'taken';
    },
  ),
);

const envelopes = fc
  .record({
    mail: mostlyYes(TO_MAIL, 8),
    recipients: fc.array(mostlyYes(TO_RCPT, 1), { minLength: 4, maxLength: 4 }),
    data: fc.option(mostlyYes(TO_DATA, 8), { nil: undefined, freq: 12 }),
    by: chance,
  })
  .map(({ mail, recipients, data, by }) =>
    command(
      `envelope(${mail.reply.code}, ${recipients.map(({ reply }) => reply.code)}, ${data?.reply.code})`,
      'taken',
      (world, real) => {
        const answers = recipients.slice(0, world.offered.length);
        const yes = mail.means === 'yes' && answers.some(({ means }) => means === 'yes');
        const verdict = {
          mail: mail.reply,
          recipients: answers.map(({ reply }) => reply),
          data: data?.reply,
          ready: yes && data?.means === 'yes',
        };
        world.startEnvelope();
        const accepted = real.hear(verdict, closedFor(world, by), contextOf(world, by));
        judgeEnvelope(world, { mail, answers, data, yes });
        if (world.station === 'rest') world.keepEnvelope();
        expect(accepted).toEqual(world.accepted);
      },
    ),
  );

function judgeEnvelope(
  world: World,
  said: { mail: Said; answers: readonly Said[]; data: Said | undefined; yes: boolean },
): void {
  const { mail, answers, data, yes } = said;
  const { offered } = world;
  const isData = yes && data?.means !== 'yes';
  const heard = mail.means === 'yes' ? [...answers, ...(isData && data ? [data] : [])] : [mail];
  // About the relay: nothing of it counts for anybody.
  const isAboutRelay = heard.some(({ means }) => means === 'relay');
  if (mail.means !== 'yes' && !isAboutRelay) world.judge(offered, mail.means);
  if (mail.means !== 'yes' || isAboutRelay) {
    world.rest();
    return;
  }
  const accepted = offered.filter((_, position) => answers[position]?.means === 'yes');
  offered.forEach((index, position) => {
    const means = answers[position]?.means ?? 'lost';
    if (!(means === 'crowded' && yes)) world.judge([index], means);
  });
  if (isData) world.judge(accepted, data?.means ?? 'lost');
  if (accepted.length === 0 || isData) world.rest();
  else {
    world.accepted = accepted;
    world.station = 'body';
  }
}

const relayClosed = chance.map((by) =>
  command(`relay closed(${by.hasAlternative})`, 'taken', (world, real) => {
    real.closeRelay(closedFor(world, by), contextOf(world, by));
    world.rest();
  }),
);

const lostBefore = chance.map((by) =>
  command(
    'connection lost before the dot',
    ({ station }) => station === 'taken' || station === 'body' || station === 'dot recorded',
    (world, real) => {
      if (world.station === 'taken') {
        real.loseEnvelope(contextOf(world, by));
        world.judge(world.offered, 'lost');
        world.rest();
      } else if (world.station === 'body') {
        real.loseBody(contextOf(world, by));
        world.keepEnvelope();
        world.judge(world.accepted, 'lost');
        world.rest();
      } else {
        real.loseUnsentDot(contextOf(world, pastDot(by)));
        world.judgeFinal('lost');
      }
    },
  ),
);

const stops = fc.constant(
  command('the account may not send', 'body', (world, real) => {
    real.forgetMemory();
    world.forgetEnvelope();
  }),
);

const refusals = fc.record({ differs: fc.boolean(), by: chance }).map(({ differs, by }) =>
  command(
    differs ? 'copy differs' : 'unsendable',
    ({ station }) => station === (differs ? 'body' : 'taken'),
    (world, real) => {
      if (differs) world.forgetEnvelope();
      real.refuseToSend(differs, contextOf(world, by));
      world.endOpen('failed');
    },
  ),
);

const recordsDot = chance.map((by) =>
  command('dot recorded', 'body', (world, real) => {
    real.recordDot(contextOf(world, by));
    world.keepEnvelope();
    world.recordDot();
  }),
);

const sendsDot = fc.constant(
  command('dot sent', 'dot recorded', (world) => {
    world.station = 'dot sent';
  }),
);

const finals = fc
  .record({ said: fc.constantFrom(...TO_DOT), stores: fc.boolean(), by: chance })
  .map(({ said, stores, by }) =>
    command(`final(${said.reply.code}, ${stores})`, 'dot sent', (world, real) => {
      if (said.means === 'yes' || (said.isDoubt && stores)) world.store();
      if (said.isDoubt) world.doubts++;
      real.hearFinal(said.reply, closedFor(world, pastDot(by)), contextOf(world, pastDot(by)));
      world.judgeFinal(said.means);
    }),
  );

const lostAfter = fc
  .record({ policy: policies, stores: fc.boolean(), by: chance })
  .map(({ policy, stores, by }) =>
    command(`connection lost after the dot(${policy}, ${stores})`, 'dot sent', (world, real) => {
      if (stores) world.store();
      real.loseVerdict(policy, contextOf(world, pastDot(by)));
      world.loseVerdict(policy);
    }),
  );

const crashes = fc.boolean().map((stores) =>
  command(
    `crash(${stores})`,
    () => true,
    (world, real) => {
      real.forgetMemory();
      if (world.station === 'body') world.forgetEnvelope();
      if (world.station === 'dot sent' && stores) world.store();
      if (world.station.startsWith('dot')) world.isVerdictLost = true;
      world.rest();
    },
  ),
);

const resolutions = fc
  .record({
    pick: fc.nat(3),
    resolution: fc.constantFrom('delivered' as const, 'resend' as const, 'drop' as const),
  })
  .map(({ pick, resolution }) =>
    command(`resolve(${pick}, ${resolution})`, isAtRest, (world, real) => {
      const index = pick % world.recipients.length;
      const recipient = world.of(index);
      expect(real.resolve(index, resolution, world.nowMs)).toBe(recipient.state === 'held');
      if (recipient.state !== 'held') return;
      if (resolution === 'resend') recipient.state = 'open';
      else world.endAs(recipient, resolution === 'drop' ? 'canceled' : 'delivered');
      recipient.isVouchedFor = resolution === 'delivered';
    }),
  );

const cancels = fc.constant(
  command(
    'cancel',
    () => true,
    (world, real) => {
      const isPastRecord = world.isVerdictLost || world.station.startsWith('dot');
      if (world.station === 'body') world.forgetEnvelope();
      const canCancel = !isPastRecord && world.open().length > 0;
      expect(real.cancel(world.nowMs)).toBe(canCancel);
      if (!canCancel) return;
      for (const index of world.open()) world.endAs(world.of(index), 'canceled');
      world.rest();
    },
  ),
);

/** Minutes to and fro, hours, or to about the time at which the message expires. */
const clocks = fc
  .oneof(
    { weight: 4, arbitrary: fc.integer({ min: -600_000, max: 1_200_000 }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: RETRY.maxMs }) },
    {
      weight: 2,
      arbitrary: fc.integer({ min: -RETRY.maxMs, max: RETRY.maxMs / 4 }).map((ms) => ms + ENDS_AT),
    },
  )
  .map((ms) =>
    command(
      `clock(${ms})`,
      () => true,
      (world) => {
        world.nowMs = ms > RETRY.maxMs ? Math.max(world.nowMs, ms) : world.nowMs + ms;
      },
    ),
  );

const expiries = fc.constant(
  command(
    'expiry',
    (world) => isAtRest(world) && !world.isVerdictLost && world.open().length > 0,
    (world, real) => {
      world.nowMs = Math.max(world.nowMs, ENDS_AT + RETRY.maxMs + 1);
      real.expire(world.nowMs);
      world.endOpen('expired');
    },
  ),
);

/** Whichever of these comes next where the message is: without it, most commands would find it elsewhere. */
const advances = fc.tuple(takes, envelopes, recordsDot, sendsDot, finals).map((steps): DeliveryCommand => {
  let taken = 'nothing';
  return {
    check: (world) => steps.some((step) => step.check(world)),
    run: (world, real) => {
      const step = steps.find((candidate) => candidate.check(world));
      taken = String(step);
      step?.run(world, real);
    },
    toString: () => taken,
  };
});

const times = <T>(count: number, of: T): T[] => Array.from({ length: count }, () => of);

export const deliveryCommands = fc.commands(
  [
    ...times(16, advances),
    ...times(3, lostAfter),
    ...times(2, resolutions),
    ...times(2, clocks),
    relayClosed,
    lostBefore,
    stops,
    refusals,
    crashes,
    cancels,
    expiries,
  ],
  { maxCommands: 60, size: 'max' },
);
