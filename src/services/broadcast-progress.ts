/** How far a broadcast has come, and when it may be over. */
import type { BroadcastRun } from '../outbox/client.ts';

export interface BroadcastProgress {
  readonly total: number | null;
  readonly queued: number;
  readonly delivered: number;
  readonly failed: number;
  readonly suppressed: number;
  readonly canceled: number;
  readonly inDoubt: number;
  readonly skipped: number;
  readonly estimatedEndMs: number | null;
  readonly waitingFor: BroadcastRun['hindrance'] | null;
}

export function progressOf(run: BroadcastRun, nowMs: number): BroadcastProgress {
  const { total = null, queued, skipped, counts, hindrance = null } = run;
  return {
    total,
    queued,
    ...counts,
    skipped,
    estimatedEndMs: estimatedEndMs(run, nowMs),
    waitingFor: hindrance,
  };
}

/** As if the rest went on as what is done did. Unknown before anything is done, and while it rests. */
function estimatedEndMs(run: BroadcastRun, nowMs: number): number | null {
  const { status, total, startedAtMs, skipped, counts } = run;
  if ((status !== 'sending' && status !== 'sent') || total === undefined || startedAtMs === undefined)
    return null;
  const { delivered, failed, suppressed, canceled, inDoubt } = counts;
  const done = delivered + failed + suppressed + canceled + inDoubt + skipped;
  const left = total - done;
  if (done === 0 || left <= 0) return null;
  return nowMs + Math.ceil(((nowMs - startedAtMs) * left) / done);
}
