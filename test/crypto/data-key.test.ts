import { describe, expect, it } from 'vitest';
import { newDataKey, unwrapDataKey, wrapDataKey } from '../../src/crypto/data-key.ts';
import { SealError } from '../../src/crypto/seal.ts';

const master = (version: number) => ({ version, bytes: new Uint8Array(32).fill(version) });

describe('data keys', () => {
  it('are wrapped under the highest master version and opened again', () => {
    const key = newDataKey();
    const wrapped = wrapDataKey([master(1), master(3), master(2)], 'acc_a', key);
    expect(wrapped).toMatchObject({ number: 1, masterVersion: 3 });
    expect(unwrapDataKey([master(3)], 'acc_a', wrapped)).toEqual(key);
    expect(Buffer.from(wrapped.wrapped).includes(Buffer.from(key.bytes))).toBe(false);
  });

  it('open under the old master key too while a rotation is under way', () => {
    const wrapped = wrapDataKey([master(1)], 'acc_a', newDataKey());
    expect(() => unwrapDataKey([master(2), master(1)], 'acc_a', wrapped)).not.toThrow();
    expect(() => unwrapDataKey([master(2)], 'acc_a', wrapped)).toThrow(SealError);
  });

  it('do not open for another account, under another number, or altered', () => {
    const wrapped = wrapDataKey([master(1)], 'acc_a', newDataKey(1));
    expect(() => unwrapDataKey([master(1)], 'acc_b', wrapped)).toThrow(SealError);
    expect(() => unwrapDataKey([master(1)], 'acc_a', { ...wrapped, number: 2 })).toThrow(SealError);
    const altered = wrapped.wrapped.slice();
    altered[20] = (altered[20] ?? 0) ^ 1;
    expect(() => unwrapDataKey([master(1)], 'acc_a', { number: 1, wrapped: altered })).toThrow(SealError);
  });
});
