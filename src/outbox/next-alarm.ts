/** When an Outbox has to be woken: for its mail, its webhooks, its test mail, its imports, its broadcasts, its erasures, what was staged and left, and its retention. */
import type { Settings } from '../env.ts';
import type { Ledger } from './ledger/ledger.ts';
import { DAY_MS } from './ledger/partitions.ts';

export interface Wakeful {
  readonly ledger: Ledger;
  readonly settings: Pick<Settings, 'WATCHDOG_MS' | 'STAGING_KEPT_MS'>;
  readonly pump:
    | { readonly isRunning: boolean; readonly hasWork: boolean; readonly relayOpensAt: number | undefined }
    | undefined;
  readonly simulator: { readonly isRunning: boolean } | undefined;
  readonly courier: { readonly isRunning: boolean; readonly nextAtMs: number | undefined } | undefined;
  readonly imports: { nextAlarmAt(nowMs: number): number | undefined };
  readonly broadcasts: { nextAlarmAt(nowMs: number): number | undefined };
  readonly erasures: { nextAlarmAt(nowMs: number): number | undefined };
}

/** undefined where there is nothing to be woken for, ever. */
export function nextAlarmAt(outbox: Wakeful, nowMs: number): number | undefined {
  const { ledger, settings, courier } = outbox;
  const watchdogAtMs = nowMs + settings.WATCHDOG_MS;
  const oldestMs = ledger.messages.staging.oldestSeenMs;
  const times = [
    mailAt(outbox, nowMs, watchdogAtMs),
    testMailAt(outbox, nowMs, watchdogAtMs),
    courier?.isRunning ? watchdogAtMs : courier?.nextAtMs,
    oldestMs === undefined ? undefined : oldestMs + settings.STAGING_KEPT_MS,
    outbox.imports.nextAlarmAt(nowMs),
    outbox.broadcasts.nextAlarmAt(nowMs),
    outbox.erasures.nextAlarmAt(nowMs),
  ].filter((atMs) => atMs !== undefined);
  // Retention is looked after every day, however far ahead the next message is scheduled.
  if (times.length > 0 || ledger.hasHistory) times.push(nowMs + DAY_MS);
  return times.length > 0 ? Math.min(...times) : undefined;
}

function mailAt({ pump, ledger }: Wakeful, nowMs: number, watchdogAtMs: number): number | undefined {
  if (!pump) return undefined;
  if (pump.isRunning) return watchdogAtMs;
  if (pump.hasWork) return Math.min(watchdogAtMs, pump.relayOpensAt ?? watchdogAtMs);
  const dueAtMs = ledger.queue.nextDueAt();
  return dueAtMs === undefined ? undefined : Math.max(dueAtMs, nowMs);
}

function testMailAt({ simulator, ledger }: Wakeful, nowMs: number, watchdogAtMs: number): number | undefined {
  const dueAtMs = ledger.tests.nextDueAt();
  if (dueAtMs !== undefined && dueAtMs > nowMs) return dueAtMs;
  return dueAtMs !== undefined || simulator?.isRunning ? watchdogAtMs : undefined;
}
