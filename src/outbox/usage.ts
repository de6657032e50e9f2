/** How many recipients one object took on in this UTC day and month, and how many more it may. */
export const PERIODS = ['day', 'month'] as const;
export type Period = (typeof PERIODS)[number];

/** At most so many recipients in each period; absent: as many as one likes. */
export type Quota = { readonly [period in Period]?: number };

export interface Counter {
  /** Which day or month, counted up; it never goes back, whatever the clock does. */
  readonly number: number;
  readonly used: number;
  /** What the shard was given of the quota, what it has used of it included. Of no meaning in the lead. */
  readonly lease: number;
}

export type UsageState = { readonly [period in Period]: Counter };

const DAY_MS = 24 * 60 * 60 * 1000;

export function periodNumber(period: Period, atMs: number): number {
  if (period === 'day') return Math.floor(atMs / DAY_MS);
  const date = new Date(atMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** When the period ends in which `atMs` lies. */
export function periodEnd(period: Period, atMs: number): number {
  if (period === 'day') return (Math.floor(atMs / DAY_MS) + 1) * DAY_MS;
  const date = new Date(atMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

export class Usage {
  private state: UsageState;

  constructor(saved: string | undefined) {
    const nothing = { number: 0, used: 0, lease: 0 };
    this.state = saved === undefined ? { day: nothing, month: nothing } : JSON.parse(saved);
  }

  at(nowMs: number): UsageState {
    this.reach({ day: periodNumber('day', nowMs), month: periodNumber('month', nowMs) });
    return this.state;
  }

  /** Goes on to these periods where they are later. */
  reach(numbers: { readonly [period in Period]: number }): void {
    for (const period of PERIODS) {
      const number = numbers[period];
      if (number > this.state[period].number) this.set(period, { number, used: 0, lease: 0 });
    }
  }

  /** Another text once a period has begun. */
  get numbers(): string {
    return `${this.state.day.number}/${this.state.month.number}`;
  }

  /** In the periods that `at` last told. */
  count(recipients: number): void {
    for (const period of PERIODS) {
      const counter = this.state[period];
      this.set(period, { ...counter, used: counter.used + recipients });
    }
  }

  /** Sets what each period has been given. */
  lease(lease: (counter: Counter, period: Period) => number): void {
    for (const period of PERIODS) {
      const counter = this.state[period];
      this.set(period, { ...counter, lease: lease(counter, period) });
    }
  }

  toText(): string {
    return JSON.stringify(this.state);
  }

  private set(period: Period, counter: Counter): void {
    this.state = { ...this.state, [period]: counter };
  }
}
