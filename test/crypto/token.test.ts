import { describe, expect, test } from 'vitest';
import { isGenuineToken, makeToken, readToken } from '../../src/crypto/token.ts';

const key = { number: 2, bytes: new Uint8Array(32).fill(7) };
const older = { number: 1, bytes: new Uint8Array(32).fill(9) };
const content = { purpose: 'confirm', subject: 'acc_1', expiresAtMs: 2_000_000_000_000 };
const nowMs = 1_900_000_000_000;
const token = makeToken(key, content, 'ann@example.com');
const genuine = (text: string, bound = 'ann@example.com', atMs = nowMs) =>
  isGenuineToken([key, older], text, { bound, nowMs: atMs });

describe('a token', () => {
  test('is genuine for what it was made for, under any of the keys', () => {
    expect(readToken('confirm', token)).toEqual(content);
    expect(genuine(token)).toBe(true);
    expect(genuine(makeToken(older, content, 'ann@example.com'))).toBe(true);
    expect(token).not.toContain('ann');
  });

  test('is of no use for another value, another purpose, or once its time is over', () => {
    expect(genuine(token, 'bob@example.com')).toBe(false);
    expect(readToken('unsubscribe', token)).toBeUndefined();
    expect(genuine(token.replace('confirm', 'unsubscribe'))).toBe(false);
    expect(genuine(token, 'ann@example.com', content.expiresAtMs - 1)).toBe(true);
    expect(genuine(token, 'ann@example.com', content.expiresAtMs)).toBe(false);
  });

  test('is not genuine once any character of it is another', () => {
    for (let at = 0; at < token.length; at++) {
      for (const character of ['A', '0', '.', '%']) {
        if (token[at] === character) continue;
        const altered = token.slice(0, at) + character + token.slice(at + 1);
        expect([altered, genuine(altered)]).toEqual([altered, false]);
      }
    }
    for (const text of ['', '.', '....', `${token}x`, token.slice(0, -1), `x${token}`, 'a'.repeat(10_000)]) {
      expect(genuine(text)).toBe(false);
    }
    expect(isGenuineToken([older], token, { bound: 'ann@example.com', nowMs })).toBe(false);
  });
});
