/** What an account may send in a UTC day and month, and has sent. Counted are recipients, when a message is accepted. */
import { type Env, settingsOf } from '../env.ts';
import { type OutboxStatistics, type Period, periodEnd } from '../outbox/client.ts';

/** In D1: no limit, whatever the settings say. */
export const UNLIMITED = -1;

export interface QuotaState {
  /** Null: no limit. */
  readonly limit: number | null;
  readonly used: number;
  readonly resetsAt: number;
}

export type QuotaStates = { readonly [period in Period]: QuotaState };

/** The limit that holds: the account's own one, else that of the settings; undefined where there is none. */
export function quotaLimit(own: number | null, setting: number | undefined): number | undefined {
  if (own === UNLIMITED) return undefined;
  return own ?? setting;
}

export function quotaStates(
  env: Env,
  own: { readonly dailyQuota: number | null; readonly monthlyQuota: number | null },
  statistics: readonly Pick<OutboxStatistics, 'usage'>[],
): QuotaStates {
  const { DAILY_QUOTA, MONTHLY_QUOTA } = settingsOf(env);
  const nowMs = Date.now();
  const stateOf = (period: Period, limit: number | undefined) => {
    const counters = statistics.map(({ usage }) => usage[period]);
    const current = Math.max(0, ...counters.map(({ number }) => number));
    const used = counters.reduce((sum, { number, used }) => sum + (number === current ? used : 0), 0);
    return { limit: limit ?? null, used, resetsAt: periodEnd(period, nowMs) };
  };
  return {
    day: stateOf('day', quotaLimit(own.dailyQuota, DAILY_QUOTA)),
    month: stateOf('month', quotaLimit(own.monthlyQuota, MONTHLY_QUOTA)),
  };
}
