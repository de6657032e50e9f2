/**
 * The states of a delivery beside an SMTP server that stores or does not, under any order of commands.
 *
 * - Every recipient ends in exactly one state, and never leaves it.
 * - `delivered` means that a copy was stored and its 250 was read, or that the customer said so.
 * - Copies are at most one more than the doubts on record.
 * - Nobody is written to after the end.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextDueAt, openRecipients } from '../../src/delivery/progress.ts';
import { expectLike } from './delivery-checks.ts';
import { deliveryCommands } from './delivery-commands.ts';
import { MessageUnderTest } from './message-under-test.ts';
import { TO_DOT, TO_MAIL, TO_RCPT } from './replies.ts';
import { ACCEPTED_AT, World } from './world.ts';

const [OK_MAIL] = TO_MAIL;
const [OK_RCPT] = TO_RCPT;
const [OK_DOT] = TO_DOT;

/** The server becomes well, the customer drops what is held: everything must come to an end. */
function settle(world: World, real: MessageUnderTest): void {
  if (!OK_MAIL || !OK_RCPT || !OK_DOT) throw new Error('no replies');
  real.forgetMemory();
  if (world.station === 'body') world.forgetEnvelope();
  if (world.station.startsWith('dot')) world.isVerdictLost = true;
  world.rest();
  const context = () => world.context(0.5, false);
  for (let round = 0; openRecipients(real.progress).length > 0; round++) {
    expect(round).toBeLessThan(5);
    const before = real.progress;
    world.nowMs = Math.max(world.nowMs, nextDueAt(real.progress) ?? 0);
    const offered = real.take('retry', context());
    if (offered) {
      const recipients = offered.map(() => OK_RCPT.reply);
      world.accepted = real.hear(
        { mail: OK_MAIL.reply, recipients, data: undefined, ready: true },
        { untilMs: 0 },
        context(),
      );
      expect(world.accepted).toEqual(world.open());
      real.recordDot(context());
      world.recordDot();
      world.store();
      real.hearFinal(OK_DOT.reply, { untilMs: 0 }, context());
      world.judgeFinal('yes');
    } else world.loseVerdict('retry');
    expectLike(world, real, before);
  }
  for (const index of world.held()) {
    expect(real.resolve(index, 'drop', world.nowMs)).toBe(true);
    world.endAs(world.of(index), 'canceled');
  }
  expectLike(world, real, real.progress);
  for (const { state } of world.recipients) expect(state).toMatch(/^(delivered|failed|expired|canceled)$/);
}

test('whatever happens to a message, its record tells what the server did, and every recipient ends once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), deliveryCommands, (count, commands) => {
      const model = new World(count);
      const real = new MessageUnderTest(count, ACCEPTED_AT);
      fc.modelRun(() => ({ model, real }), commands);
      settle(model, real);
    }),
    { numRuns: 500 },
  );
}, 60_000);
