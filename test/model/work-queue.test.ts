/** The places of the ledger's queue that random commands come to too seldom. */
import { expect, test } from 'vitest';
import { AT_ONCE, DAY_MS, LedgerUnderTest, RECIPIENTS } from './ledger-model.ts';

const NOW = 1_790_000_000_000;

test('messages in hand do not hide those that are overdue', () => {
  const real = new LedgerUnderTest();
  const ids = real.accept(
    Array.from({ length: 8 }, (_, index) => NOW + index),
    NOW,
  );
  for (let count = 0; count < 5; count++) real.ledger.queue.take(NOW);
  const overdue = real.ledger.findOverdue(NOW + DAY_MS, 2).map(({ id }) => id);
  expect(overdue).toHaveLength(2);
  expect([...ids].sort().slice(5)).toEqual(expect.arrayContaining(overdue));
  expect(real.ledger.findOverdue(NOW + DAY_MS, 100)).toHaveLength(3);
});

test('what the scan has yet to reach is not handed out twice after it was changed', () => {
  const real = new LedgerUnderTest();
  const [id] = real.accept([NOW], NOW);
  const taken = real.ledger.queue.take(NOW);
  if (!taken) throw new Error('nothing to take');
  real.ledger.queue.forgetHand();
  real.commit([{ item: taken, fates: RECIPIENTS.map(() => AT_ONCE), atDot: false }]);
  expect([real.ledger.queue.take(NOW)?.id, real.ledger.queue.take(NOW)?.id]).toEqual([id, undefined]);
});

test('what was set aside is passed over, is not in hand, and is found by a restart', () => {
  const real = new LedgerUnderTest();
  const ids = real.accept([NOW, NOW + 1], NOW).sort();
  const { queue } = real.ledger;
  const first = queue.take(NOW);
  if (!first) throw new Error('nothing to take');
  queue.setAside(first);
  expect(queue.isInHand(first.id)).toBe(false);
  expect([queue.take(NOW)?.id, queue.take(NOW)?.id]).toEqual([ids[1], undefined]);
  queue.saveLowWater();
  expect(queue.takeAside(first.id)?.id).toBe(first.id);
  expect(queue.takeAside(first.id)).toBeUndefined();
  real.restart();
  expect([real.ledger.queue.take(NOW)?.id, real.ledger.queue.take(NOW)?.id]).toEqual(ids);
});

test('what was set aside, and changed there, is found by the queue again', () => {
  const real = new LedgerUnderTest();
  real.accept([NOW], NOW);
  const { queue } = real.ledger;
  const item = queue.take(NOW);
  if (!item) throw new Error('nothing to take');
  queue.setAside(item);
  real.commit([{ item, fates: RECIPIENTS.map(() => AT_ONCE), atDot: false }]);
  expect(queue.takeAside(item.id)).toBeUndefined();
  expect(queue.take(NOW)?.id).toBe(item.id);
});
