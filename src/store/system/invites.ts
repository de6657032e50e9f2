/** Without an account, because an invite is there before the account that it lets in. For the operator only. */
import { and, eq, sql } from 'drizzle-orm';
import { databaseOf } from '../db.ts';
import { type Page, type PageOf, pageClauses, toPage } from '../page.ts';
import { invites } from '../schema/invites.ts';

export interface InviteRecord {
  readonly id: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** The account that used it. */
  readonly usedBy: string | null;
}

const USED_BY = sql<string | null>`(SELECT a.account_id FROM accounts a WHERE a.invite_id = invites.id)`;

export async function insertInvite(
  d1: D1Database,
  invite: {
    readonly id: string;
    readonly hash: Uint8Array;
    readonly createdAt: number;
    readonly expiresAt: number;
  },
): Promise<void> {
  await databaseOf(d1).insert(invites).values(invite);
}

export async function listInvites(d1: D1Database, page: PageOf): Promise<Page<InviteRecord>> {
  const { where, orderBy, limit } = pageClauses(invites.id, page);
  const { id, createdAt, expiresAt } = invites;
  const rows = await databaseOf(d1)
    .select({ id, createdAt, expiresAt, usedBy: USED_BY })
    .from(invites)
    .where(where)
    .orderBy(orderBy)
    .limit(limit);
  return toPage(rows, page);
}

/** The id of an invite that is good now; whether it was used shows when an account is made with it. */
export async function findInvite(
  d1: D1Database,
  hash: Uint8Array,
  nowMs: number,
): Promise<string | undefined> {
  const rows = await databaseOf(d1)
    .select({ id: invites.id })
    .from(invites)
    .where(and(eq(invites.hash, hash), sql`${invites.expiresAt} > ${nowMs}`));
  return rows[0]?.id;
}

/** False where there is none. Throws a foreign-key error where an account used it. */
export async function deleteInvite(d1: D1Database, id: string): Promise<boolean> {
  const deleted = await databaseOf(d1).delete(invites).where(eq(invites.id, id));
  return deleted.meta.changes === 1;
}
