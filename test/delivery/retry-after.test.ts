import { describe, expect, test } from 'vitest';
import { retryAfterMs } from '../../src/delivery/retry-after.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('the wait is read from', () => {
  test.each<[string, number]>([
    // postgrey, with its own default text and with older ones
    [
      '4.2.0 <b@x.example>: Recipient address rejected: Greylisted for 300 seconds (see http://isg.ee.ethz.ch/tools/postgrey/help/x.example.html)',
      5 * MINUTE,
    ],
    ['4.2.0 <b@x.example>: Recipient address rejected: Greylisted for 60 seconds', MINUTE],
    // sqlgrey
    ['4.7.1 <b@x.example>: Recipient address rejected: Greylisted for 5 minutes', 5 * MINUTE],
    // milter-greylist
    ['4.7.1 Greylisting in action, please come back in 00:05:00', 5 * MINUTE],
    ['4.7.1 Greylisting in action, please come back in 01:00:30', HOUR + 30 * SECOND],
    // Exim, as configured by greylisting rules of distributions
    ['Greylisted, please try again in 180 seconds', 3 * MINUTE],
    ['You are greylisted. Please retry after 5 minutes', 5 * MINUTE],
    // in the manner of relays that throttle
    ['4.7.0 Temporary server error. Please try again later in 10 minutes.', 10 * MINUTE],
    ['4.7.1 Rate limited for 30 minutes', 30 * MINUTE],
    ['4.7.0 Too many messages, try again in 30 seconds', 30 * SECOND],
    ['try again in 1 hour', HOUR],
    ['Try again in an hour.', HOUR],
    ['try again in one minute', MINUTE],
    ['please wait 00:05:00', 5 * MINUTE],
    ['Please wait at least 5 minutes before retrying', 5 * MINUTE],
    ['Please wait for another 90 secs', 90 * SECOND],
    ['retry in 10s', 10 * SECOND],
    ['Retry in 1h30m', HOUR + 30 * MINUTE],
    ['try again in 1 hour and 30 minutes', HOUR + 30 * MINUTE],
    ['try again in 2 mins, 5 secs', 2 * MINUTE + 5 * SECOND],
    ['try again in 1.5 hours', 90 * MINUTE],
    ['Please resend your message in 15 minutes', 15 * MINUTE],
    ['Retry-After: 120', 2 * MINUTE],
    ['rate exceeded, retry after 60', MINUTE],
    ['TRY AGAIN IN 5 MINUTES', 5 * MINUTE],
    ['try again in 3 days', DAY],
    ['try again in 9999999 days', DAY],
    ['greylisted for 60 seconds, try again in 5 minutes', 5 * MINUTE],
  ])('%s', (text, waitMs) => {
    expect(retryAfterMs([text])).toBe(waitMs);
  });

  test('a phrase that goes on in the next line', () => {
    expect(retryAfterMs(['4.7.28 Too fast. Please try again in', '4.7.28 30 seconds'])).toBe(30 * SECOND);
  });
});

describe('no wait is read from', () => {
  test.each([
    // postgrey and Postfix
    '4.2.0 <b@x.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/x.example.html',
    '4.7.1 Error: too much mail from 192.0.2.30',
    '4.7.0 mx.example Error: too many errors',
    '4.3.2 Service currently unavailable',
    '4.4.2 mx.example Error: timeout exceeded',
    '4.5.3 Error: too many recipients',
    // Exim
    'Temporary local problem - please try later',
    'retry timeout exceeded after 4 days',
    'Domain x.example has exceeded the max emails per hour (200/200 (100%)) allowed.',
    'Too many concurrent SMTP connections; please try again later.',
    // Exchange
    '4.7.500 Server busy. Please try again later from [192.0.2.60]. (S77719)',
    '4.7.0 Temporary server error. Please try again later. PRX2',
    '4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded',
    '4.7.0 Connection timed out after 300 seconds',
    // Gmail
    '4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.',
    '4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address.',
    '5.4.5 Daily user sending limit exceeded. For more information, go to https://support.google.com/a/answer/166852',
    // Amazon SES
    'Throttling failure: Maximum sending rate exceeded.',
    // numbers that mean something else
    'limit of 100 messages in 1 hour exceeded',
    'try again after 10:30:00 UTC',
    'try again in 5 messages',
    'try again in 5 minuscule steps',
    'try again in 0 seconds',
    'retry after 60%',
    'retry after 5 attempts in 10 minutes of peace, or sooner',
    'wait, 192.0.2.5 minutes',
    '',
  ])('%s', (text) => {
    expect(retryAfterMs([text])).toBeUndefined();
  });

  test('no lines at all', () => {
    expect(retryAfterMs([])).toBeUndefined();
  });
});

test('a hostile reply is read in a bounded number of steps', () => {
  const hostile = ['try '.repeat(100_000), '1h'.repeat(100_000), 'try again in 1 hour and '.repeat(50_000)];
  for (const text of hostile) expect(retryAfterMs([text]) ?? 0).toBeLessThanOrEqual(DAY);
});
