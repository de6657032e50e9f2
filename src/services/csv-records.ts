/**
 * Comma-separated values by RFC 4180, a stretch of the file at a time. The parser is a library's, and starts anew with
 * each stretch: between two records there is nothing to remember but the place.
 *
 * What the parser cannot read costs the line it begins in, and no more: reading goes on behind the next line break. So
 * a quote that never ends does not swallow the file.
 */
import { CsvError, parse } from 'csv-parse/sync';
import type { ImportPosition } from '../outbox/client.ts';

export const MAX_RECORD_BYTES = 64 * 1024;
const [CR, LF] = [13, 10];
const TOO_LONG = `it has more than ${MAX_RECORD_BYTES / 1024} KiB`;

export type CsvRecord =
  | { readonly line: number; readonly cells: readonly string[] }
  | { readonly line: number; readonly problem: string };

export interface CsvStretch {
  readonly records: readonly CsvRecord[];
  /** Where to go on. */
  readonly position: ImportPosition;
}

interface Row {
  readonly cells: readonly string[];
  /** Behind its line break, from where the parser began. */
  readonly end: number;
}

/**
 * Of `bytes`, which begin at the position, up to `limit` records. A record that the bytes end within is left for the
 * next stretch, which has to be longer than the longest record. Lines without content are passed over.
 */
export function readRecords(
  bytes: Uint8Array,
  from: ImportPosition,
  options: { readonly delimiter: string; readonly limit: number; readonly isLast: boolean },
): CsvStretch {
  const { limit, isLast } = options;
  const records: CsvRecord[] = [];
  const reader = new Reader(bytes, from, isLast);
  if (from.isInsideRefused && !reader.skipLine()) return { records, position: reader.position };
  while (records.length < limit) {
    reader.skipLineBreaks();
    if (reader.isAtEnd) break;
    const { rows, problem } = parseRows(reader.rest, { ...options, limit: limit - records.length });
    const start = reader.at;
    let isCut = false;
    for (const { cells, end } of rows) {
      isCut = !isLast && start + end >= bytes.byteLength;
      if (isCut) break;
      reader.skipLineBreaks();
      const { line } = reader;
      reader.moveTo(start + end);
      if (cells.some((cell) => cell !== '')) records.push({ line, cells });
    }
    if (rows.length > 0 && !problem && !isCut) continue;
    reader.skipLineBreaks();
    const left = bytes.byteLength - reader.at;
    // It may be whole in the next stretch. What fills this one is longer than any record may be.
    if ((!problem || problem === UNCLOSED) && !isLast && left <= MAX_RECORD_BYTES) break;
    records.push({ line: reader.line, problem: isCut ? TOO_LONG : (problem ?? TOO_LONG) });
    if (!reader.skipLine()) break;
  }
  return { records, position: reader.position };
}

class Reader {
  at = 0;
  line: number;
  #isInsideRefused: boolean;
  readonly #bytes: Uint8Array;
  readonly #from: ImportPosition;
  readonly #isLast: boolean;

  constructor(bytes: Uint8Array, from: ImportPosition, isLast: boolean) {
    this.#bytes = bytes;
    this.#from = from;
    this.#isLast = isLast;
    this.line = from.line;
    this.#isInsideRefused = from.isInsideRefused;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#bytes.byteLength;
  }

  get rest(): Uint8Array {
    return this.#bytes.subarray(this.at);
  }

  get position(): ImportPosition {
    const byte = this.#from.byte + this.at;
    return { byte, line: this.line, isInsideRefused: this.#isInsideRefused };
  }

  skipLineBreaks(): void {
    while (!this.isAtEnd && this.#isBreakAt(this.at)) this.moveTo(this.at + 1);
  }

  /** Up to behind the next line break. False where there is none: then all is passed over. */
  skipLine(): boolean {
    let end = this.at;
    while (end < this.#bytes.byteLength && !this.#isBreakAt(end)) end++;
    const isFound = end < this.#bytes.byteLength;
    this.#isInsideRefused = !isFound && !this.#isLast;
    if (isFound) this.moveTo(end + 1);
    else this.moveTo(this.#isLast || this.#bytes[end - 1] !== CR ? end : end - 1);
    return isFound;
  }

  /** A carriage return at the end is none yet: a line feed may follow in the next stretch, and counts with it. */
  #isBreakAt(at: number): boolean {
    const byte = this.#bytes[at];
    return byte === LF || (byte === CR && (this.#isLast || at + 1 < this.#bytes.byteLength));
  }

  /** Counts the lines on the way. A line feed behind a carriage return counts with it. */
  moveTo(end: number): void {
    for (; this.at < end; this.at++) {
      const byte = this.#bytes[this.at];
      const isPair = byte === CR && this.#bytes[this.at + 1] === LF;
      if (isBreak(byte) && !isPair) this.line++;
    }
  }
}

function isBreak(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}

const UNCLOSED = 'a quote is not closed';

const PROBLEMS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: UNCLOSED,
  CSV_INVALID_CLOSING_QUOTE: 'a closing quote must be followed by a delimiter or a line break',
  INVALID_OPENING_QUOTE: 'a quote within a cell must be doubled, and the cell be quoted',
  CSV_MAX_RECORD_SIZE: TOO_LONG,
};

/** Those before the first one that cannot be read, and what is wrong with that. */
function parseRows(
  bytes: Uint8Array,
  { delimiter, limit }: { readonly delimiter: string; readonly limit: number },
): { readonly rows: readonly Row[]; readonly problem?: string } {
  const rows: Row[] = [];
  try {
    parse(bytes as Buffer, {
      delimiter,
      record_delimiter: ['\r\n', '\n', '\r'],
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: MAX_RECORD_BYTES,
      to: limit,
      on_record: (cells: string[], { bytes: end }) => {
        rows.push({ cells, end });
        return null;
      },
    });
    return { rows };
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return { rows, problem: PROBLEMS[error.code] ?? 'it is not of the form of a CSV line' };
  }
}
