/** A run as its callers see it. */
import { NO_PART } from '../ledger/broadcast-parts.ts';
import type { BroadcastHindrance, BroadcastRun } from './broadcast-api.ts';
import type { PartCounts } from './part-api.ts';
import type { StoredRun } from './run-table.ts';

export function sumOf(parts: readonly PartCounts[]): PartCounts {
  return parts.reduce(
    (sum, part) => ({
      accepted: sum.accepted + part.accepted,
      waiting: sum.waiting + part.waiting,
      delivered: sum.delivered + part.delivered,
      failed: sum.failed + part.failed,
      suppressed: sum.suppressed + part.suppressed,
      canceled: sum.canceled + part.canceled,
      inDoubt: sum.inDoubt + part.inDoubt,
    }),
    NO_PART,
  );
}

export function runOf(
  run: StoredRun,
  { accepted, delivered, failed, suppressed, canceled, inDoubt }: PartCounts,
  hindrance: BroadcastHindrance | undefined,
): BroadcastRun {
  const { id, status, scheduledAtMs, startedAtMs, finishedAtMs, total, skipped, reason } = run;
  return {
    id,
    status,
    ...(scheduledAtMs === undefined ? {} : { scheduledAtMs }),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(finishedAtMs === undefined ? {} : { finishedAtMs }),
    ...(total === undefined ? {} : { total }),
    queued: accepted,
    skipped,
    counts: { delivered, failed, suppressed, canceled, inDoubt },
    ...(hindrance !== undefined && status === 'sending' ? { hindrance } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}
