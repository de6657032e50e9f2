import { describe, expect, test } from 'vitest';
import { FreshContent } from '../../src/outbox/ledger/fresh-content.ts';

const MIB = 1024 * 1024;

describe('fresh content', () => {
  test('is handed out once, to whoever asks first', () => {
    const fresh = new FreshContent();
    const piece = new Uint8Array(10);
    fresh.keep('msg_a', piece, 0);
    expect(fresh.take('msg_b')).toBeUndefined();
    expect(fresh.take('msg_a')).toBe(piece);
    expect(fresh.take('msg_a')).toBeUndefined();
  });

  test('holds 8 MiB at most, and the oldest of what there is', () => {
    const fresh = new FreshContent();
    for (let number = 0; number < 10; number++) fresh.keep(`msg_${number}`, new Uint8Array(MIB), number);
    const kept = Array.from({ length: 10 }, (_, number) => fresh.take(`msg_${number}`) !== undefined);
    expect(kept).toEqual([...Array(8).fill(true), false, false]);
  });

  test('has room again once something was taken', () => {
    const fresh = new FreshContent();
    fresh.keep('msg_a', new Uint8Array(7 * MIB), 0);
    fresh.keep('msg_b', new Uint8Array(2 * MIB), 0);
    expect(fresh.take('msg_b')).toBeUndefined();
    fresh.take('msg_a');
    fresh.keep('msg_b', new Uint8Array(8 * MIB), 0);
    expect(fresh.take('msg_b')).toBeDefined();
  });

  test('makes room for others when nobody asked for it in a minute', () => {
    const fresh = new FreshContent();
    fresh.keep('msg_a', new Uint8Array(8 * MIB), 0);
    fresh.keep('msg_b', new Uint8Array(MIB), 59_999);
    fresh.keep('msg_c', new Uint8Array(MIB), 60_000);
    expect(['msg_a', 'msg_b', 'msg_c'].map((id) => fresh.take(id) !== undefined)).toEqual([
      false,
      false,
      true,
    ]);
  });
});
