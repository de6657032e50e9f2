import fc from 'fast-check';
import { expect, test } from 'vitest';
import { signToken, verifyToken } from '../../src/crypto/signed-token.ts';

const KEYS = [1, 2].map((version) => ({ version, bytes: new Uint8Array(32).fill(version) }));

test('a token gives back what was signed, under the highest key, for as long as that key is there', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }), (payload) => {
      const token = signToken(KEYS, 'p', payload);
      expect(token).toMatch(/^2\.[A-Za-z0-9_.-]+$/);
      expect(verifyToken(KEYS, 'p', token)).toBe(payload);
      expect(verifyToken(KEYS.slice(0, 1), 'p', token)).toBeUndefined();
      expect(verifyToken(KEYS, 'q', token)).toBeUndefined();
    }),
  );
});

test('no character of a token can be changed', () => {
  const token = signToken(KEYS, 'p', 'acc_1,msg_1,0');
  for (let at = 0; at < token.length; at++) {
    for (const other of ['A', 'B', '1', '.', '']) {
      if (token[at] === other) continue;
      const changed = token.slice(0, at) + other + token.slice(at + 1);
      const payload = verifyToken(KEYS, 'p', changed);
      // The last character of base64 has bits that mean nothing.
      expect([undefined, 'acc_1,msg_1,0']).toContain(payload);
    }
  }
  expect(() => signToken([], 'p', 'x')).toThrow('no master key');
});
