/** Retention drops the tables of whole days. A day on which a message is still open is kept. */
import type { LedgerDatabase } from './database.ts';
import type { MessageTable } from './message-table.ts';
import { dayOf, type PartitionedTable } from './partitions.ts';

export interface KeptDays {
  readonly bodies: number;
  readonly metadata: number;
  readonly claims: number;
}

export function sweep(db: LedgerDatabase, messages: MessageTable, kept: KeptDays, nowMs: number): void {
  const expired = (table: PartitionedTable, days: number) =>
    db.partitions.daysOf(table).filter((day) => day < dayOf(nowMs) - days);
  for (const day of expired('claims', kept.claims)) db.partitions.drop('claims', day);
  for (const day of expired('contents', kept.bodies)) {
    if (!messages.hasOpen(day)) db.partitions.drop('contents', day);
  }
  for (const day of expired('messages', Math.max(kept.metadata, kept.bodies))) {
    if (messages.hasOpen(day)) continue;
    db.partitions.drop('messages', day);
    db.partitions.drop('terms', day);
    db.partitions.drop('late_terms', day);
  }
}
