/** Pages of a selection of contacts, by contact id. */
import { and, asc, desc, eq, gt, gte, lt, lte, type SQL, sql } from 'drizzle-orm';
import type { Selection } from './contact-selection.ts';
import { type ContactRecord, contactColumns } from './contacts.ts';
import { type AccountScope, atomically } from './db.ts';
import type { PageOf } from './page.ts';
import { contacts, contactValues } from './schema/contacts.ts';
import { listMembers } from './schema/lists.ts';

/** So many candidates at most are looked at in one statement, so that none takes long, whatever it finds. */
const WINDOW = 10_000;

export interface ContactSlice {
  /** In the direction of the cursor, at most one more than the limit. */
  readonly rows: readonly ContactRecord[];
  /** Set where the window ended before the selection did: the slice goes on from here. */
  readonly scannedTo?: string;
}

/** Newest first; with `before`, oldest first. */
export async function readContactSlice(
  scope: AccountScope,
  selection: Selection,
  page: PageOf & { readonly window?: number },
): Promise<ContactSlice> {
  const { id, range, conditions } = selection;
  const isUp = page.before !== undefined;
  const cursor = isUp ? gt(id, page.before) : page.after === undefined ? undefined : lt(id, page.after);
  const orderBy = isUp ? asc(id) : desc(id);
  const candidates = and(...range, cursor);
  const end = () =>
    candidatesOf(scope, selection, candidates)
      .orderBy(orderBy)
      .limit(1)
      .offset((page.window ?? WINDOW) - 1);
  // What every candidate fulfils needs no window: the limit is the end of it.
  const bound = conditions.length === 0 ? undefined : endOf(isUp, id, end());
  const rows = rowsOf(scope, selection, and(candidates, bound, ...conditions))
    .orderBy(orderBy)
    .limit(page.limit + 1);
  if (!bound) return { rows: await rows };
  const [found, [last]] = await atomically(scope, [rows, end()] as const);
  return { rows: found, ...(last && { scannedTo: last.id }) };
}

function endOf(isUp: boolean, id: Selection['id'], end: { getSQL(): SQL }): SQL {
  const last = sql`coalesce((${end.getSQL()}), ${isUp ? '~' : ''})`;
  return isUp ? lte(id, last) : gte(id, last);
}

function candidatesOf({ db }: AccountScope, { driver }: Selection, where: SQL | undefined) {
  switch (driver) {
    case 'members':
      return db.select({ id: listMembers.contactId }).from(listMembers).where(where).$dynamic();
    case 'values':
      return db.select({ id: contactValues.contactId }).from(contactValues).where(where).$dynamic();
    default:
      return db.select({ id: contacts.id }).from(contacts).where(where).$dynamic();
  }
}

/** A cross join is read in the order written: along the driver. */
function rowsOf({ db, accountId }: AccountScope, { driver, id }: Selection, where: SQL | undefined) {
  const own = and(eq(contacts.accountId, accountId), sql`${contacts.id} = ${id}`, where);
  switch (driver) {
    case 'members':
      return db.select(contactColumns).from(listMembers).crossJoin(contacts).where(own).$dynamic();
    case 'values':
      return db.select(contactColumns).from(contactValues).crossJoin(contacts).where(own).$dynamic();
    default:
      return db.select(contactColumns).from(contacts).where(where).$dynamic();
  }
}
