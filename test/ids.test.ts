import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  broadcastMessageId,
  firstMessageIdAt,
  ID_PREFIXES,
  type IdKind,
  isId,
  MAX_SHARDS,
  newId,
  newMessageId,
  parseMessageId,
} from '../src/ids.ts';

const KINDS = Object.keys(ID_PREFIXES) as IdKind[];
const KINDS_WITHOUT_SHARD = KINDS.filter((kind) => kind !== 'message');
/** 50 bits hold the time: until the year 37,648. */
const LAST_MS = 2 ** 50 - 1;
const someMs = fc.integer({ min: 0, max: LAST_MS });
const someShard = fc.integer({ min: 0, max: MAX_SHARDS - 1 });
const NOW_MS = Date.UTC(2026, 10, 24);

describe('every kind of id', () => {
  test('has a prefix of its own', () => {
    expect(new Set(Object.values(ID_PREFIXES)).size).toBe(KINDS.length);
  });

  test.each(KINDS_WITHOUT_SHARD)(
    '%s: an id is its prefix and 26 characters, and belongs to no other kind',
    (kind) => {
      const id = newId(kind);
      expect(id).toMatch(new RegExp(`^${ID_PREFIXES[kind]}_[0-9abcdefghjkmnpqrstvwxyz]{26}$`));
      expect(KINDS.filter((other) => isId(other, id))).toEqual([kind]);
    },
  );

  test('ids sort as text in the order of their times', () => {
    fc.assert(
      fc.property(someMs, someMs, someShard, someShard, (a, b, shardOfA, shardOfB) => {
        fc.pre(a < b);
        expect(newId('event', a) < newId('event', b)).toBe(true);
        expect(newMessageId(shardOfA, a) < newMessageId(shardOfB, b)).toBe(true);
      }),
    );
  });

  test('ids of one millisecond differ', () => {
    const ids = Array.from({ length: 1_000 }, () => newId('event', NOW_MS));
    expect(new Set(ids).size).toBe(1_000);
    const messageIds = Array.from({ length: 1_000 }, () => newMessageId(3, NOW_MS));
    expect(new Set(messageIds).size).toBe(1_000);
  });
});

describe('the message id of a broadcast and a contact', () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

  test('has its time and shard, and is the same for the same hash', () => {
    fc.assert(
      fc.property(hash, someMs, someShard, (bytes, atMs, shard) => {
        const id = broadcastMessageId(bytes, { shard, atMs });
        expect(isId('message', id)).toBe(true);
        expect(parseMessageId(id)).toEqual({ createdAtMs: atMs, shard });
        expect(broadcastMessageId(bytes, { shard, atMs })).toBe(id);
      }),
    );
  });

  test('is another one for another hash', () => {
    const hashes = Array.from({ length: 1000 }, () => crypto.getRandomValues(new Uint8Array(32)));
    const ids = hashes.map((bytes) => broadcastMessageId(bytes, { shard: 2, atMs: NOW_MS }));
    expect(new Set(ids).size).toBe(1000);
    expect(() => broadcastMessageId(new Uint8Array(8), { shard: 0, atMs: NOW_MS })).toThrow('too short');
  });
});

describe('a message id', () => {
  test('gives back its time and shard', () => {
    fc.assert(
      fc.property(someMs, someShard, (createdAtMs, shard) => {
        const id = newMessageId(shard, createdAtMs);
        expect(isId('message', id)).toBe(true);
        expect(parseMessageId(id)).toEqual({ createdAtMs, shard });
      }),
    );
  });

  test.each([
    [0, 0, 'msg_000000000000'],
    [31, 1, 'msg_000000000z01'],
    [32, 31, 'msg_00000000100z'],
    [NOW_MS, 63, 'msg_01m85dmb001z'],
    [LAST_MS, MAX_SHARDS - 1, 'msg_zzzzzzzzzz1z'],
  ])('of the time %i in shard %i begins with %s', (createdAtMs, shard, start) => {
    expect(newMessageId(shard, createdAtMs).slice(0, start.length)).toBe(start);
  });

  test('is never below the first id of its millisecond, and always below that of the next', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LAST_MS - 1 }), someShard, (createdAtMs, shard) => {
        const id = newMessageId(shard, createdAtMs);
        expect(firstMessageIdAt(createdAtMs) <= id).toBe(true);
        expect(id < firstMessageIdAt(createdAtMs + 1)).toBe(true);
      }),
    );
  });

  test('the first id of a time before 1970 is the first of all', () => {
    expect(firstMessageIdAt(-1)).toBe(`msg_${'0'.repeat(26)}`);
    expect(isId('message', firstMessageIdAt(NOW_MS))).toBe(true);
  });
});

describe('what is not an id is refused', () => {
  const body = '01m85dmb001z0123456789abcd';

  test('though a well-formed one is not', () => {
    expect(isId('message', `msg_${body}`)).toBe(true);
  });

  test.each([
    ['nothing', ''],
    ['only a prefix', 'msg_'],
    ['a missing character', `msg_${body.slice(1)}`],
    ['one character too many', `msg_${body}0`],
    ['no prefix', body],
    ['another prefix', `evt_${body}`],
    ['a prefix in capitals', `MSG_${body}`],
    ['capitals', `msg_${body.toUpperCase()}`],
    ['the letter i', `msg_${body.slice(1)}i`],
    ['the letter l', `msg_${body.slice(1)}l`],
    ['the letter o', `msg_${body.slice(1)}o`],
    ['the letter u', `msg_${body.slice(1)}u`],
    ['another separator', `msg-${body}`],
    ['a space before', ` msg_${body.slice(1)}`],
    ['a line break after', `msg_${body.slice(1)}\n`],
    ['a full-width digit', `msg_${body.slice(1)}１`],
    ['half of a surrogate pair', `msg_${body.slice(1)}\ud83d`],
    ['a wildcard', `msg_${body.slice(1)}%`],
  ])('%s', (_what, text) => {
    expect(isId('message', text)).toBe(false);
    expect(parseMessageId(text)).toBeUndefined();
  });

  test('any character put in from outside the alphabet', () => {
    const outside = fc
      .string({ minLength: 1, maxLength: 1, unit: 'binary' })
      .filter((c) => !/^[0-9a-hjkmnp-tv-z]$/.test(c));
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 29 }), outside, (at, character) => {
        const id = `msg_${body}`;
        expect(isId('message', id.slice(0, at) + character + id.slice(at + 1))).toBe(false);
      }),
    );
  });
});
