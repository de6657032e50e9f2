/**
 * "Try again in N": how long a server asks us to wait, read from its reply. There is no standard for it, so
 * an amount of time counts only right after words that ask to wait; any other number in a reply means something else.
 */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MAX_MS = DAY;
/** Longer replies say it early or not at all. */
const MAX_TEXT_CHARS = 4096;
/** How far before an amount the words that ask to wait may begin. */
const LOOK_BACK_CHARS = 120;

const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY };

const UNIT = '(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|[smhd])(?![a-z])';
const NUMBER = '(?:\\d{1,7}(?:\\.\\d{1,3})?|an?(?= )|one(?= ))';
const PART = `${NUMBER}[ -]?${UNIT}`;
/** `1 hour and 30 minutes`, `1h30m`, `00:05:00`. */
const AMOUNT = new RegExp(
  `(?<![\\w.:])(?:(\\d{1,3}):([0-5]\\d):([0-5]\\d)(?![:\\d])|${PART}(?:(?:,? and |, ?| )?${PART}){0,3})`,
  'gi',
);
const ONE_PART = new RegExp(`(${NUMBER})[ -]?(${UNIT})`, 'gi');

const FILLER =
  '(?:[ ,-]{1,3}(?:again|later|back|sending|send|deliver|resending|delivery|your|the|this|message|mail|e-?mail|connection|connecting|request|it|please|once)){0,5}';
const ABOUT = '(?: (?:about|approximately|around|at least|another|up to|the next))?';
const ASKS_TO_WAIT = new RegExp(
  '\\b(?:' +
    [
      `(?:try|retry|resend|resubmit|reconnect|come|send|deliver|attempt)${FILLER}[ -](?:in|after|for|within)`,
      'wait(?:ing)?(?: for)?',
      '(?:gr[ea]y-?list(?:ed|ing)|deferred|delayed|throttled|rate[- ]limited|suspended)(?: is)?(?: in (?:effect|action))? for',
    ].join('|') +
    `)${ABOUT}[ :]{1,2}$`,
  'i',
);
/** As in HTTP: a bare number of seconds. */
const BARE_SECONDS = /\bretry[- ]after[:=]? {0,2}(\d{1,7})(?=$|[,;)]|\.? |\.$)(?! [a-z\d])/i;

/** The longest time that the lines of a reply ask to wait, at most a day; undefined where they name none. */
export function retryAfterMs(texts: readonly string[]): number | undefined {
  // The enhanced code stands before each line: without it a phrase reads on across lines.
  const text = texts
    .map((line) => line.replace(/^[245]\.\d{1,3}\.\d{1,3} /, ''))
    .join(' ')
    .slice(0, MAX_TEXT_CHARS)
    .replace(/\s+/g, ' ');
  let longestMs = Number(BARE_SECONDS.exec(text)?.[1] ?? 0) * SECOND;
  for (const match of text.matchAll(AMOUNT)) {
    const before = text.slice(Math.max(0, match.index - LOOK_BACK_CHARS), match.index);
    // After `after`, hours and minutes are the time of a clock.
    if (!ASKS_TO_WAIT.test(before) || (match[1] !== undefined && /after $/i.test(before))) continue;
    longestMs = Math.max(longestMs, amountMs(match));
  }
  return longestMs > 0 ? Math.min(longestMs, MAX_MS) : undefined;
}

function amountMs([amount, hours, minutes, seconds]: RegExpExecArray): number {
  if (hours !== undefined) return Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds) * SECOND;
  let sumMs = 0;
  for (const [, number = '', unit = ''] of amount.matchAll(ONE_PART)) {
    const count = /^\d/.test(number) ? Number(number) : 1;
    sumMs += count * (UNITS[unit.charAt(0).toLowerCase()] ?? 0);
  }
  return Math.round(sumMs);
}
