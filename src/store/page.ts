/** Pages of rows, newest first. Ids are time-ordered, so an id is a cursor. */
import { and, asc, desc, gt, lt, type SQL, type SQLWrapper } from 'drizzle-orm';

export interface PageOf {
  readonly limit: number;
  /** Older than this id. */
  readonly after?: string | undefined;
  /** Newer than this id. */
  readonly before?: string | undefined;
}

export interface Page<T> {
  readonly rows: readonly T[];
  readonly hasMore: boolean;
}

/** The filter, order and limit of a page; one row more is read than shown, to know whether there are more. */
export function pageClauses(id: SQLWrapper, page: PageOf, filter?: SQL) {
  const cursor =
    page.before !== undefined
      ? gt(id, page.before)
      : page.after !== undefined
        ? lt(id, page.after)
        : undefined;
  return {
    where: and(filter, cursor),
    orderBy: page.before !== undefined ? asc(id) : desc(id),
    limit: page.limit + 1,
  };
}

export function toPage<T>(rows: readonly T[], page: PageOf): Page<T> {
  const shown = rows.slice(0, page.limit);
  if (page.before !== undefined) shown.reverse();
  return { rows: shown, hasMore: rows.length > page.limit };
}
