/** Long lists as one answer, made while it is read: a line for each thing, as CSV or as JSON. */
import type { AppContext } from './app-types.ts';
import { type Cell, csvLine } from './csv.ts';
import { streamOf } from './stream-body.ts';

export type ExportFormat = 'csv' | 'jsonl';

export interface ExportTable<T> {
  /** Of the file, without its ending. */
  readonly name: string;
  /** What a JSON line says that it is, and what the last one says. */
  readonly object: string;
  readonly end: string;
  readonly columns: readonly string[];
  readonly recordOf: (item: T) => object;
  readonly cellsOf: (item: T) => readonly Cell[];
}

/** `end` is the last line, by which a reader knows that nothing is missing. */
interface Lines<T> {
  readonly contentType: string;
  readonly start: string;
  readonly line: (item: T) => string;
  readonly end: (count: number) => string;
}

export async function exportResponse<T>(
  c: AppContext,
  format: ExportFormat,
  table: ExportTable<T>,
  items: AsyncGenerator<T>,
): Promise<Response> {
  const lines = format === 'csv' ? csvLines(table) : jsonLines(table);
  // Before the answer begins: what is wrong by now still has a status of its own.
  const first = await items.next();
  return c.body(streamOf(chunksOf(lines, first, items)), 200, {
    'content-type': lines.contentType,
    'content-disposition': `attachment; filename="${table.name}.${format}"`,
  });
}

/** Lines go out in chunks of about this size. */
const CHUNK_CHARACTERS = 16 * 1024;

async function* chunksOf<T>(
  lines: Lines<T>,
  first: IteratorResult<T, unknown>,
  rest: AsyncGenerator<T>,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let count = 0;
  let text = lines.start;
  try {
    for (let next = first; !next.done; next = await rest.next()) {
      count++;
      text += lines.line(next.value);
      if (text.length < CHUNK_CHARACTERS) continue;
      yield encoder.encode(text);
      text = '';
    }
    yield encoder.encode(text + lines.end(count));
  } finally {
    await rest.return(undefined);
  }
}

function csvLines<T>({ columns, end, cellsOf }: ExportTable<T>): Lines<T> {
  return {
    contentType: 'text/csv; charset=utf-8; header=present',
    start: csvLine(columns),
    line: (item) => csvLine(cellsOf(item)),
    // As many cells as any other row has.
    end: (count) => csvLine([end, count, ...columns.slice(2).map(() => '')]),
  };
}

function jsonLines<T>({ object, end, recordOf }: ExportTable<T>): Lines<T> {
  return {
    contentType: 'application/jsonl; charset=utf-8',
    start: '',
    line: (item) => `${JSON.stringify({ object, ...recordOf(item) })}\n`,
    end: (count) => `${JSON.stringify({ object: end, count })}\n`,
  };
}
