import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DotStuffer, LineEndError } from '../../src/smtp/dot-stuffing.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

function stuff(pieces: readonly Uint8Array[]): string {
  const stuffer = new DotStuffer();
  const out = pieces.map((piece) => stuffer.push(piece));
  return Buffer.concat([...out, stuffer.end()]).toString('latin1');
}

/** Written after RFC 5321 section 4.5.2, line by line, as a server would. */
function unstuff(wire: string): string {
  expect(wire.endsWith('.\r\n')).toBe(true);
  const lines = wire.split('\r\n');
  const end = lines.indexOf('.');
  expect(end).toBe(lines.length - 2);
  return lines
    .slice(0, end)
    .map((line) => `${line.startsWith('.') ? line.slice(1) : line}\r\n`)
    .join('');
}

/** All that two servers might disagree about as the end of data. */
const END_OF_DATA_SEQUENCES = [
  '\n.\n',
  '\n.\r\n',
  '\r.\r',
  '\r.\r\n',
  '\r.\n',
  '\n.\r',
  '\r\n.\n',
  '\r\n.\r',
  '\r\n\0.\n',
  '\r\r\n.\r\n',
  '\r\n.\r\r\n',
  '\n\n.\n\n',
];

const message = fc
  .array(fc.constantFrom('\r\n', '.', '..', 'text', '', 'ü', '\0'), { maxLength: 40 })
  .map((parts) => bytesOf(parts.join('')));
const cuts = fc.array(fc.nat(120), { maxLength: 12 });

function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = places.map((place) => Math.min(place, bytes.length)).sort((a, b) => a - b);
  return [0, ...sorted].map((start, index) => bytes.subarray(start, sorted[index] ?? bytes.length));
}

describe('dot-stuffing', () => {
  test.each([
    ['', '.\r\n'],
    ['a\r\n', 'a\r\n.\r\n'],
    ['a', 'a\r\n.\r\n'],
    ['.', '..\r\n.\r\n'],
    ['.\r\n', '..\r\n.\r\n'],
    ['a\r\n.b\r\n', 'a\r\n..b\r\n.\r\n'],
    ['a\r\n.\r\nMAIL FROM:<evil@x.example>\r\n', 'a\r\n..\r\nMAIL FROM:<evil@x.example>\r\n.\r\n'],
    ['a.b\r\n\r\n..\r\n', 'a.b\r\n\r\n...\r\n.\r\n'],
  ])('of %j is %j, however it is cut', (input, expected) => {
    const bytes = bytesOf(input);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(stuff([bytes.subarray(0, cut), bytes.subarray(cut)])).toBe(expected);
    }
    expect(stuff(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toBe(expected);
  });

  test('is undone by unstuffing, however the message is cut', () => {
    fc.assert(
      fc.property(message, cuts, (bytes, places) => {
        const original = Buffer.from(bytes).toString('latin1');
        const withLastLineEnd = original === '' || original.endsWith('\r\n') ? original : `${original}\r\n`;
        expect(unstuff(stuff(cutAt(bytes, places)))).toBe(withLastLineEnd);
      }),
      { numRuns: 2_000 },
    );
  });

  test('releases no bare CR and no bare LF, whatever the bytes are', () => {
    const anything = fc.array(fc.constantFrom('\r', '\n', '\r\n', '.', 'a'), { maxLength: 30 });
    fc.assert(
      fc.property(anything, cuts, (parts, places) => {
        const text = parts.join('');
        const stuffer = new DotStuffer();
        const released: Uint8Array[] = [];
        try {
          for (const piece of cutAt(bytesOf(text), places)) released.push(stuffer.push(piece));
          released.push(stuffer.end());
          expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
        } catch (error) {
          if (!(error instanceof LineEndError)) throw error;
          expect(text.replaceAll('\r\n', '')).toMatch(/[\r\n]/);
        }
        expect(Buffer.concat(released).toString().replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(END_OF_DATA_SEQUENCES)('%j anywhere in a message is refused', (sequence) => {
    for (const text of [sequence, `a${sequence}b`, `a\r\n${sequence}b`, `a${sequence}`]) {
      const bytes = bytesOf(text);
      for (let cut = 0; cut <= bytes.length; cut++) {
        expect(() => stuff([bytes.subarray(0, cut), bytes.subarray(cut)])).toThrow(LineEndError);
      }
    }
  });

  test('does not copy a piece that needs no change', () => {
    const piece = bytesOf('a line\r\n'.repeat(10_000));
    expect(new DotStuffer().push(piece).buffer).toBe(piece.buffer);
  });
});
