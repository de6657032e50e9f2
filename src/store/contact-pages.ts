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

/** A part of a selection, from a cursor on. */
export interface SliceOf {
  /** Below this id. */
  readonly after?: string | undefined;
  /** Down to and with this id. */
  readonly upTo?: string | undefined;
  readonly window?: number;
}

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
  page: PageOf & SliceOf,
): Promise<ContactSlice> {
  const isUp = page.before !== undefined;
  const { where, end, orderBy } = windowOf(scope, selection, page, isUp ? page.before : undefined);
  const rows = rowsOf(scope, selection, where)
    .orderBy(orderBy)
    .limit(page.limit + 1);
  if (!end) return { rows: await rows };
  const [found, [last]] = await atomically(scope, [rows, end] as const);
  return { rows: found, ...(last && { scannedTo: last.id }) };
}

/** Only who they are, newest first, at most `limit` of them. */
export async function readContactIds(
  scope: AccountScope,
  selection: Selection,
  slice: SliceOf & { readonly limit: number },
): Promise<{ readonly ids: readonly string[]; readonly scannedTo?: string }> {
  const { where, end, orderBy } = windowOf(scope, selection, slice);
  const rows = idsOf(scope, selection, where).orderBy(orderBy).limit(slice.limit);
  if (!end) return { ids: (await rows).map(({ id }) => id) };
  const [found, [last]] = await atomically(scope, [rows, end] as const);
  return { ids: found.map(({ id }) => id), ...(last && { scannedTo: last.id }) };
}

/** How many they are in one window. */
export async function countContacts(
  scope: AccountScope,
  selection: Selection,
  slice: SliceOf,
): Promise<{ readonly counted: number; readonly scannedTo?: string }> {
  const { where, end } = windowOf(scope, selection, slice);
  const found = idsOf(scope, selection, where).as('found');
  const counting = scope.db.select({ counted: sql<number>`count(*)` }).from(found);
  if (!end) return { counted: (await counting)[0]?.counted ?? 0 };
  const [[row], [last]] = await atomically(scope, [counting, end] as const);
  return { counted: row?.counted ?? 0, ...(last && { scannedTo: last.id }) };
}

/** The part of the selection that one statement looks at; `end` finds its last candidate where it is full. */
function windowOf(scope: AccountScope, selection: Selection, slice: SliceOf, before?: string) {
  const { id, range, conditions } = selection;
  const isUp = before !== undefined;
  const cursor = isUp ? gt(id, before) : slice.after === undefined ? undefined : lt(id, slice.after);
  const orderBy = isUp ? asc(id) : desc(id);
  const lowest = slice.upTo === undefined ? undefined : gte(id, slice.upTo);
  const candidates = and(...range, cursor, lowest);
  // What every candidate fulfils needs no window: the limit is the end of it.
  if (conditions.length === 0) return { where: candidates, orderBy };
  const end = () =>
    candidatesOf(scope, selection, candidates)
      .orderBy(orderBy)
      .limit(1)
      .offset((slice.window ?? WINDOW) - 1);
  return { where: and(candidates, endOf(isUp, id, end()), ...conditions), orderBy, end: end() };
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

function idsOf({ db, accountId }: AccountScope, { driver, id }: Selection, where: SQL | undefined) {
  const own = and(eq(contacts.accountId, accountId), sql`${contacts.id} = ${id}`, where);
  const selected = { id: contacts.id };
  switch (driver) {
    case 'members':
      return db.select(selected).from(listMembers).crossJoin(contacts).where(own).$dynamic();
    case 'values':
      return db.select(selected).from(contactValues).crossJoin(contacts).where(own).$dynamic();
    default:
      return db.select(selected).from(contacts).where(where).$dynamic();
  }
}
