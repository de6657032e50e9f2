import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CsvRecord, MAX_RECORD_BYTES, readRecords } from '../../src/services/csv-records.ts';

const START = { byte: 0, line: 1, isInsideRefused: false };
const encoder = new TextEncoder();

/** In stretches of so many bytes, longer ones where a record needs it, and of so many records. */
function readIn(text: string | Uint8Array, windowBytes: number, limit: number): CsvRecord[] {
  const bytes = typeof text === 'string' ? encoder.encode(text) : text;
  const records: CsvRecord[] = [];
  let position = START;
  let length = windowBytes;
  while (position.byte < bytes.byteLength) {
    const stretch = bytes.subarray(position.byte, position.byte + length);
    const isLast = position.byte + stretch.byteLength >= bytes.byteLength;
    const next = readRecords(stretch, position, { delimiter: ',', limit, isLast });
    const isStuck = next.position.byte === position.byte;
    if (isStuck) length *= 2;
    else length = windowBytes;
    expect(isStuck && (isLast || length > 4 * MAX_RECORD_BYTES)).toBe(false);
    records.push(...next.records);
    position = next.position;
  }
  return records;
}

describe('a file', () => {
  it('is read as records with their lines, whatever ends a line', () => {
    const text = 'a,b\r\n\r\n"c\r\nd",""\n"e ""f""",g\r,h\n\n';
    expect(readIn(text, 1000, 100)).toEqual([
      { line: 1, cells: ['a', 'b'] },
      { line: 3, cells: ['c\r\nd', ''] },
      { line: 5, cells: ['e "f"', 'g'] },
      { line: 6, cells: ['', 'h'] },
    ]);
  });

  it('is read the same in stretches of any size', () => {
    const cell = fc.oneof(
      fc.constantFrom('', 'a', 'ü', '"', '""', ',', '\n', '\r\n', '"x"', '"x,\r\n""y"', '"open', 'é"z', '" '),
      fc.string({ maxLength: 6 }),
    );
    const line = fc.array(cell, { maxLength: 4 }).map((cells) => cells.join(','));
    const text = fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\n\n')), { maxLength: 12 });
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (lines, size, limit) => {
          const whole = lines.flat().join('');
          expect(readIn(whole, size, limit)).toEqual(readIn(whole, 1_000_000, 1_000_000));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('written by the rules comes back cell for cell', () => {
    const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`;
    const cells = fc.array(fc.string({ unit: 'binary', maxLength: 8 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(cells, { maxLength: 8 }), fc.integer({ min: 20, max: 80 }), (rows, size) => {
        const text = rows.map((row) => row.map(quoted).join(',')).join('\r\n');
        const kept = rows.filter((row) => row.some((cell) => cell !== ''));
        const found = readIn(text, size, 3).map((record) =>
          'cells' in record ? record.cells : record.problem,
        );
        expect(found).toEqual(kept);
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['commas', ','.repeat(1_000_000)],
    ['doubled quotes', `"${'""'.repeat(500_000)}`],
    ['an open quote', `"${'x'.repeat(1_000_000)}`],
    ['letters', 'x'.repeat(1_000_000)],
  ])('loses one line to a million of %s', (_name, long) => {
    const records = readIn(`a\n${long}\nb\n`, 256 * 1024, 500);
    expect(records).toEqual([
      { line: 1, cells: ['a'] },
      { line: 2, problem: expect.any(String) },
      { line: 3, cells: ['b'] },
    ]);
  });

  it('loses one line to a quote that never ends, also at the end', () => {
    const good = 'good\n'.repeat(30_000);
    const records = readIn(`a\n"b\n${good}"c`, 256 * 1024, 500);
    const bad = records.filter((record) => 'problem' in record).map(({ line }) => line);
    expect([records.length, bad]).toEqual([30_003, [2, 30_003]]);
  });

  it('may be any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 60 }), (bytes, size) => {
        expect(readIn(bytes, size, 4)).toEqual(readIn(bytes, 10_000, 1000));
      }),
      { numRuns: 200 },
    );
  });
});
