/** `scheduled_at`: a moment with its offset in ISO 8601, or `in 5 minutes`, `in 2 hours`, `in 3 days`. */
import { AppError } from '../errors.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const MAX_DAYS = 30;
const UNIT_MS: Readonly<Record<string, number>> = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS };

const RELATIVE = /^in (\d{1,6}) (?:(m)in(?:ute)?|(h)our|(d)ay)s?$/i;
const ABSOLUTE =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:([Zz])|([+-])(\d\d):?(\d\d))$/;

export interface ScheduledTime {
  /** As it was asked for: a repeated request must say the same, whenever it comes. */
  readonly text: string;
  /** undefined: at once, because the time is not ahead. A repeated request may come late, so that is no error. */
  readonly atMs: number | undefined;
}

/** Throws where the text is no such time, or lies too far ahead. */
export function readScheduledTime(text: string, field: string, nowMs: number): ScheduledTime {
  const atMs = relativeTime(text, nowMs) ?? absoluteTime(text);
  if (atMs === undefined) {
    const reason =
      'must be a time with its offset in ISO 8601, or like `in 5 minutes`, `in 2 hours`, `in 3 days`';
    throw new AppError('invalid_field', { field, reason });
  }
  if (atMs > nowMs + MAX_DAYS * DAY_MS) {
    throw new AppError('invalid_field', { field, reason: `must be at most ${MAX_DAYS} days ahead` });
  }
  return { text, atMs: atMs > nowMs ? atMs : undefined };
}

function relativeTime(text: string, nowMs: number): number | undefined {
  const match = RELATIVE.exec(text);
  const unit = match?.slice(2).find((letter) => letter !== undefined);
  return unit === undefined ? undefined : nowMs + Number(match?.[1]) * (UNIT_MS[unit.toLowerCase()] ?? 0);
}

function absoluteTime(text: string): number | undefined {
  const match = ABSOLUTE.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const atMs = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second, milliseconds(match[7]));
  // What does not come back as it went in was no date: the 30th of February, 24:00, a leap second.
  const [date = '', time = ''] = new Date(atMs).toISOString().split('T');
  const isReal =
    date === `${match[1]}-${match[2]}-${match[3]}` &&
    time.startsWith(`${match[4]}:${match[5]}:${match[6] ?? '00'}`);
  const [offsetHours, offsetMinutes] = [Number(match[10] ?? 0), Number(match[11] ?? 0)];
  if (!isReal || offsetHours > 14 || offsetMinutes > 59) return undefined;
  const offsetMs = offsetHours * HOUR_MS + offsetMinutes * MINUTE_MS;
  return match[9] === '-' ? atMs + offsetMs : atMs - offsetMs;
}

function milliseconds(fraction: string | undefined): number {
  return Number((fraction ?? '').padEnd(3, '0').slice(0, 3));
}
