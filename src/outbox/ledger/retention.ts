/** Retention drops the tables of whole days. A day on which a message is still open is kept. */
import type { LedgerDatabase } from './database.ts';
import type { MessageTable } from './message-table.ts';
import { dayOf, type PartitionedTable } from './partitions.ts';

export interface KeptDays {
  readonly bodies: number;
  readonly metadata: number;
  readonly claims: number;
}

/** A new webhook is given the events of the last seven days. */
const EVENT_DAYS = 7;

export function sweep(db: LedgerDatabase, messages: MessageTable, kept: KeptDays, nowMs: number): void {
  const expired = (table: PartitionedTable, days: number) =>
    db.partitions.daysOf(table).filter((day) => day < dayOf(nowMs) - days);
  for (const day of expired('claims', kept.claims)) db.partitions.drop('claims', day);
  for (const table of ['events', 'deliveries'] as const) {
    for (const day of expired(table, Math.max(kept.metadata, EVENT_DAYS))) db.partitions.drop(table, day);
  }
  for (const day of expired('contents', kept.bodies)) {
    if (!messages.hasOpen(day)) db.partitions.drop('contents', day);
  }
  for (const day of expired('messages', Math.max(kept.metadata, kept.bodies))) {
    if (!messages.hasOpen(day)) db.partitions.drop('messages', day);
  }
}
