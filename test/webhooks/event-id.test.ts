import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isId, newId } from '../../src/ids.ts';
import { deliveryIdOf, eventIdOf, parseEventId, positionAt } from '../../src/outbox/webhooks/event-id.ts';

const account = newId('account');
const place = fc.record({
  seq: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  shard: fc.integer({ min: 0, max: 63 }),
  index: fc.integer({ min: 0, max: 100_000 }),
});

describe('an event id', () => {
  test('says where the event stands, and sorts as the log does', () => {
    fc.assert(
      fc.property(place, place, (one, other) => {
        const id = eventIdOf(account, one);
        expect(isId('event', id)).toBe(true);
        expect(parseEventId(account, id)).toEqual(one);
        const order = one.seq - other.seq || one.shard - other.shard || one.index - other.index;
        const otherId = eventIdOf(account, other);
        expect(Math.sign(order)).toBe(id < otherId ? -1 : id > otherId ? 1 : 0);
      }),
    );
  });

  test('of one account is none of another', () => {
    const id = eventIdOf(account, { seq: 1, shard: 0, index: 0 });
    expect(parseEventId(newId('account'), id)).toBeUndefined();
    for (const text of ['', 'evt_', newId('event'), id.toUpperCase(), `${id}0`, id.replace('evt', 'msg')]) {
      expect(parseEventId(account, text)).toBeUndefined();
    }
  });

  test('is one of today where it was logged today', () => {
    const nowMs = Date.parse('2026-11-24T12:00:00.123Z');
    const { seq } = positionAt(nowMs);
    expect(parseEventId(account, eventIdOf(account, { seq, shard: 63, index: 0 }))?.seq).toBe(nowMs * 1000);
  });

  test('becomes another delivery id at each webhook', () => {
    const id = eventIdOf(account, { seq: 1, shard: 0, index: 0 });
    const [one, other] = [newId('webhook'), newId('webhook')];
    expect(deliveryIdOf(id, one)).toBe(deliveryIdOf(id, one));
    expect(deliveryIdOf(id, one)).not.toBe(deliveryIdOf(id, other));
    expect(deliveryIdOf(id, one)).toMatch(/^[a-z0-9_]{1,64}$/);
  });
});
