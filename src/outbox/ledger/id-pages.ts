/** Ids out of a table, in order, a page at a time: other statements may run in between. */
import type { LedgerDatabase } from './database.ts';
import type { IdRange } from './id-streams.ts';

const PAGE = 200;

/** `condition` is fixed text that begins with a column; its values are bound. */
export function* pagedIds(
  db: LedgerDatabase,
  from: { readonly table: string; readonly condition?: string; readonly values?: readonly SqlStorageValue[] },
  range: IdRange,
): Generator<string, undefined> {
  const { ascending } = range;
  const { table, condition, values = [] } = from;
  for (let edge = ascending ? range.from : range.below; ; ) {
    const rows = db.all<{ id: string }>(
      `SELECT DISTINCT id FROM ${table} WHERE ${condition ? `${condition} AND ` : ''}id >= ? AND id < ?
       ORDER BY id ${ascending ? 'ASC' : 'DESC'} LIMIT ${PAGE}`,
      ...values,
      ascending ? edge : range.from,
      ascending ? range.below : edge,
    );
    for (const { id } of rows) yield id;
    const last = rows.at(-1)?.id;
    if (last === undefined || rows.length < PAGE) return;
    edge = ascending ? justAbove(last) : last;
  }
}

/** The least text that is greater than the id: all ids are of one length. */
export function justAbove(id: string): string {
  return `${id}0`;
}
