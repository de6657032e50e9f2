import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newDataKey, unwrapDataKey, wrapDataKey } from '../../src/crypto/data-key.ts';
import { accountNamedBy, openToken, sealToken } from '../../src/crypto/lasting-token.ts';

const account = 'acc_01jdf3x8a0q4m7wz2e5c9tgkbn';
const oldest = newDataKey(1);
const newer = newDataKey(2);
const master = (version: number) => ({ version, bytes: new Uint8Array(32).fill(version) });

describe('a token for a link that lasts', () => {
  test('gives back what was sealed, under the oldest key of the account', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const token = sealToken([oldest, newer], 'unsubscribe', account, text);
        expect(token).toMatch(/^[A-Za-z0-9_.-]+$/);
        expect(accountNamedBy(token)).toBe(account);
        expect(openToken(oldest, 'unsubscribe', token)).toBe(text);
        expect(openToken(newer, 'unsubscribe', token)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  test('does not show what is in it', () => {
    const token = sealToken([oldest], 'unsubscribe', account, 'ada@example.org');
    const bytes = Buffer.from(token.split('.')[1] ?? '', 'base64url');
    expect(bytes.includes('ada')).toBe(false);
    expect(bytes.includes('example')).toBe(false);
  });

  test('is good after the master key was replaced and the old version destroyed', () => {
    const token = sealToken([oldest], 'unsubscribe', account, 'text');
    const old = wrapDataKey([master(1)], account, oldest);
    const rewrapped = wrapDataKey([master(2)], account, unwrapDataKey([master(1)], account, old));
    expect(openToken(unwrapDataKey([master(2)], account, rewrapped), 'unsubscribe', token)).toBe('text');
  });

  test('does not open with any bit changed, nor in another spelling', () => {
    const token = sealToken([oldest], 'unsubscribe', account, 'text');
    const [, encoded = ''] = token.split('.');
    const bytes = Buffer.from(encoded, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const spoiled = `${account}.${changed.toString('base64url')}`;
      expect(openToken(oldest, 'unsubscribe', spoiled)).toBeUndefined();
    }
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const spelled = token.slice(0, -1) + last;
      expect(openToken(oldest, 'unsubscribe', spelled)).toBe(spelled === token ? 'text' : undefined);
    }
    for (const wrong of [`${token}=`, `${token} `, ` ${token}`, `${token}\n`, token.replace('.', '..'), '']) {
      expect(openToken(oldest, 'unsubscribe', wrong)).toBeUndefined();
    }
  });

  test('is good for one purpose and one account', () => {
    const token = sealToken([oldest], 'unsubscribe', account, 'text');
    expect(openToken(oldest, 'join', token)).toBeUndefined();
    const other = token.replace(account, 'acc_01jdf3x8a0q4m7wz2e5c9tgkbx');
    expect(openToken(oldest, 'unsubscribe', other)).toBeUndefined();
  });
});
