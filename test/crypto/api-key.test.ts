import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { hashApiKey, isWellFormedApiKey, newApiKey } from '../../src/crypto/api-key.ts';
import { equalSecrets } from '../../src/crypto/equal.ts';

describe('API keys', () => {
  it('have their prefix, enough random characters and a checksum that holds', () => {
    const keys = Array.from({ length: 200 }, () => newApiKey());
    for (const key of keys) {
      expect(key.token).toMatch(/^er_live_[0-9A-Za-z]{34}$/);
      expect(isWellFormedApiKey(key.token)).toBe(true);
      expect(key.lastFour).toBe(key.token.slice(-4));
      expect(Buffer.from(key.hash).equals(createHash('sha256').update(key.token).digest())).toBe(true);
    }
    expect(new Set(keys.map((key) => key.token)).size).toBe(keys.length);
    // 28 base62 characters.
    expect(28 * Math.log2(62)).toBeGreaterThan(160);
  });

  it('are told from a typo in any place', () => {
    const { token } = newApiKey();
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === 'a' ? 'b' : 'a';
      expect(isWellFormedApiKey(token.slice(0, at) + other + token.slice(at + 1))).toBe(false);
    }
    for (const text of [
      '',
      'er_live_',
      `${token}0`,
      token.slice(0, -1),
      ` ${token}`,
      `${token}\n`,
      token.replace('er_', 're_'),
    ]) {
      expect(isWellFormedApiKey(text)).toBe(false);
    }
  });

  it('are found again by their hash', () => {
    const { token, hash } = newApiKey();
    expect(hashApiKey(token)).toEqual(hash);
  });
});

describe('comparing secrets', () => {
  it('is true for equal texts only, of whatever length', () => {
    expect(equalSecrets('a', 'a')).toBe(true);
    expect(equalSecrets('', '')).toBe(true);
    for (const [left, right] of [
      ['a', 'b'],
      ['a', ''],
      ['a', 'aa'],
      ['ä', 'a'],
    ] as const) {
      expect(equalSecrets(left, right)).toBe(false);
    }
  });
});
