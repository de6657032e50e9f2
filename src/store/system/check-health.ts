import { sql } from 'drizzle-orm';
import { databaseOf } from '../db.ts';

/** Without an account, because it touches no table: throws where D1 does not answer. */
export async function checkDatabase(d1: D1Database): Promise<void> {
  await databaseOf(d1).run(sql`SELECT 1`);
}
