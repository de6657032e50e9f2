import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  keyedHash,
  SealError,
  type SealedPlace,
  type SealingKey,
  seal,
  sealAsync,
  sealedKeyNumber,
  unseal,
} from '../../src/crypto/seal.ts';

const KEY: SealingKey = { number: 1, bytes: new Uint8Array(32).fill(7) };
const PLACE: SealedPlace = {
  accountId: 'acc_0',
  table: 'messages',
  column: 'summary',
  rowId: 'msg_0',
};
const bytesOf = (text: string) => new TextEncoder().encode(text);
const SECRET = bytesOf('{"to":["someone@example.test"]}');
/** `known`, sealed by the first version of the layout with KEY for PLACE. */
const KNOWN_SEALED = 'AQABnrrGrygeC69JXjlLZlnNUQWVGd91XJoN6v+d7Dd/yU+a';
/** Version, key number, IV and tag: what sealing adds. */
const OVERHEAD = 1 + 2 + 12 + 16;

const someKey = fc.record({
  number: fc.integer({ min: 0, max: 0xffff }),
  bytes: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});
/** Parts as they occur: ids, and names of tables and columns. */
const somePart = fc.stringMatching(/^[a-z0-9_]{1,30}$/);
const somePlace = fc.record({ accountId: somePart, table: somePart, column: somePart, rowId: somePart });

function doesNotOpen(keys: readonly SealingKey[], place: SealedPlace, sealed: Uint8Array): void {
  expect(() => unseal(keys, place, sealed)).toThrow(SealError);
}

describe('a sealed value', () => {
  test('opens to what was sealed, with its key among others', () => {
    fc.assert(
      fc.property(
        someKey,
        someKey,
        somePlace,
        fc.uint8Array({ maxLength: 5_000 }),
        (key, other, place, plain) => {
          fc.pre(key.number !== other.number);
          const sealed = seal(key, place, plain);
          expect(unseal([other, key], place, sealed)).toEqual(plain);
          expect(sealed.byteLength).toBe(plain.byteLength + OVERHEAD);
          expect(sealedKeyNumber(sealed)).toBe(key.number);
        },
      ),
    );
  });

  test('is the same from both ways of sealing, but for its IV', async () => {
    await fc.assert(
      fc.asyncProperty(someKey, somePlace, fc.uint8Array({ maxLength: 5_000 }), async (key, place, plain) => {
        const sealed = await sealAsync(key, place, plain);
        expect(unseal([key], place, sealed)).toEqual(plain);
        expect(sealed.byteLength).toBe(plain.byteLength + OVERHEAD);
        expect(sealed.subarray(0, 3)).toEqual(seal(key, place, plain).subarray(0, 3));
        expect(sealed.subarray(3, 15)).not.toEqual((await sealAsync(key, place, plain)).subarray(3, 15));
        doesNotOpen([key], { ...place, rowId: `${place.rowId}x` }, sealed);
      }),
    );
  });

  test('of a megabyte opens', () => {
    const plain = new Uint8Array(2 ** 20).map((_, at) => at % 251);
    expect(unseal([KEY], PLACE, seal(KEY, PLACE, plain))).toEqual(plain);
  });

  test('is different each time, and does not show what is in it', () => {
    const first = Buffer.from(seal(KEY, PLACE, SECRET));
    const second = Buffer.from(seal(KEY, PLACE, SECRET));
    expect(first.subarray(3, 15)).not.toEqual(second.subarray(3, 15));
    expect(first.subarray(15)).not.toEqual(second.subarray(15));
    expect(first.includes('someone')).toBe(false);
  });

  test('of a known layout still opens, so values at rest outlive a change of this code', () => {
    const sealed = Buffer.from(KNOWN_SEALED, 'base64');
    expect(Buffer.from(unseal([KEY], PLACE, sealed)).toString()).toBe('known');
  });
});

describe('a sealed value does not open', () => {
  test.each<[string, Partial<SealedPlace>]>([
    ['in another row', { rowId: 'msg_1' }],
    ['in another account', { accountId: 'acc_1' }],
    ['in another table', { table: 'contents' }],
    ['in another column', { column: 'replies' }],
    ['in a row without an id', { rowId: '' }],
  ])('%s', (_where, moved) => {
    doesNotOpen([KEY], { ...PLACE, ...moved }, seal(KEY, PLACE, SECRET));
  });

  test('in any other place', () => {
    fc.assert(
      fc.property(somePlace, somePlace, (place, other) => {
        fc.pre(JSON.stringify(place) !== JSON.stringify(other));
        doesNotOpen([KEY], other, seal(KEY, place, SECRET));
      }),
    );
  });

  test('in the other of two rows that were swapped', () => {
    const rows = ['msg_1', 'msg_2'].map((rowId) => ({ ...PLACE, rowId }));
    const [first, second] = rows.map((place) => seal(KEY, place, SECRET));
    doesNotOpen([KEY], { ...PLACE, rowId: 'msg_1' }, second ?? new Uint8Array());
    doesNotOpen([KEY], { ...PLACE, rowId: 'msg_2' }, first ?? new Uint8Array());
  });

  test('under other bytes with the same number', () => {
    const other = { number: KEY.number, bytes: new Uint8Array(32).fill(8) };
    doesNotOpen([other], PLACE, seal(KEY, PLACE, SECRET));
  });

  test('where its key is not among the keys', () => {
    doesNotOpen([], PLACE, seal(KEY, PLACE, SECRET));
    doesNotOpen([{ ...KEY, number: 2 }], PLACE, seal(KEY, PLACE, SECRET));
  });

  test('where its key number was rewritten to that of the same bytes under another number', () => {
    const sealed = seal(KEY, PLACE, SECRET);
    sealed[2] = 2;
    doesNotOpen([{ ...KEY, number: 2 }], PLACE, sealed);
  });

  test('where any one bit was flipped', () => {
    const sealed = seal(KEY, PLACE, SECRET);
    for (let bit = 0; bit < sealed.byteLength * 8; bit++) {
      const altered = sealed.slice();
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      doesNotOpen([KEY], PLACE, altered);
    }
  });

  test('where it was cut or lengthened anywhere', () => {
    const sealed = seal(KEY, PLACE, SECRET);
    for (let length = 0; length < sealed.byteLength; length++) {
      doesNotOpen([KEY], PLACE, sealed.subarray(0, length));
    }
    doesNotOpen([KEY], PLACE, Buffer.concat([sealed, Buffer.of(0)]));
  });

  test('and says neither what it held nor where', () => {
    const sealed = seal(KEY, PLACE, SECRET);
    expect(() => unseal([KEY], { ...PLACE, rowId: 'msg_1' }, sealed)).toThrow(/^sealed value does not open$/);
    expect(() => unseal([], PLACE, sealed)).toThrow(/^sealed under an unknown key$/);
    expect(() => unseal([KEY], PLACE, new Uint8Array(3))).toThrow(/^not a sealed value$/);
  });
});

describe('a keyed hash', () => {
  const hex = (key: SealingKey, purpose: string, value: string | Uint8Array) =>
    Buffer.from(keyedHash(key, purpose, value)).toString('hex');

  test('is the same for the same key, purpose and value, as text or as bytes', () => {
    expect(hex(KEY, 'claim', 'a-key')).toBe(hex(KEY, 'claim', 'a-key'));
    expect(hex(KEY, 'claim', 'ü')).toBe(hex(KEY, 'claim', bytesOf('ü')));
    expect(keyedHash(KEY, 'claim', 'a-key')).toHaveLength(32);
  });

  /** The hashes of rows that are there have to be found again. */
  test('is the HMAC of other libraries, for texts of any kind and keys of any length', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 100 }),
        fc.string({ unit: 'binary', maxLength: 300 }),
        (bytes, value) => {
          const expected = createHmac('sha256', bytes).update('purpose\0').update(value).digest('hex');
          expect(hex({ ...KEY, bytes }, 'purpose', value)).toBe(expected);
        },
      ),
    );
  });

  test.each<[string, string]>([
    ['another value', hex(KEY, 'claim', 'b-key')],
    ['another purpose', hex(KEY, 'suppression', 'a-key')],
    ['another key', hex({ ...KEY, bytes: new Uint8Array(32).fill(8) }, 'claim', 'a-key')],
    ['the same text divided elsewhere', hex(KEY, 'claima', '-key')],
  ])('is different for %s', (_what, other) => {
    expect(other).not.toBe(hex(KEY, 'claim', 'a-key'));
  });
});
