import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readScheduledTime } from '../../src/services/scheduled-time.ts';

const NOW = Date.parse('2026-11-24T12:00:00.000Z');
const read = (text: string) => readScheduledTime(text, 'scheduled_at', NOW).atMs;
const iso = (text: string) => new Date(read(text) ?? Number.NaN).toISOString();

describe('a time', () => {
  test.each([
    ['2026-11-25T00:00:00Z', '2026-11-25T00:00:00.000Z'],
    ['2026-11-25T00:00:00.5Z', '2026-11-25T00:00:00.500Z'],
    ['2026-11-25T00:00:00,123456789Z', '2026-11-25T00:00:00.123Z'],
    ['2026-11-25T00:00Z', '2026-11-25T00:00:00.000Z'],
    ['2026-11-25t00:00:00z', '2026-11-25T00:00:00.000Z'],
    ['2026-11-25 00:00:00Z', '2026-11-25T00:00:00.000Z'],
    ['2026-11-25T01:30:00+01:30', '2026-11-25T00:00:00.000Z'],
    ['2026-11-24T16:00:00-0800', '2026-11-25T00:00:00.000Z'],
    ['2026-11-25T00:00:00+00:00', '2026-11-25T00:00:00.000Z'],
    ['2026-11-25T14:00:00+14:00', '2026-11-25T00:00:00.000Z'],
    ['in 1 min', '2026-11-24T12:01:00.000Z'],
    ['in 5 mins', '2026-11-24T12:05:00.000Z'],
    ['in 90 minutes', '2026-11-24T13:30:00.000Z'],
    ['in 1 minute', '2026-11-24T12:01:00.000Z'],
    ['in 1 hour', '2026-11-24T13:00:00.000Z'],
    ['in 2 hours', '2026-11-24T14:00:00.000Z'],
    ['in 1 day', '2026-11-25T12:00:00.000Z'],
    ['In 30 Days', '2026-12-24T12:00:00.000Z'],
  ])('%s is %s', (text, wanted) => {
    expect(iso(text)).toBe(wanted);
  });

  test.each(['2026-11-24T12:00:00Z', '2026-11-24T12:59:59+01:00', '1970-01-01T00:00:00Z', 'in 0 minutes'])(
    'that is not ahead means at once: %s',
    (text) => {
      expect(read(text)).toBeUndefined();
    },
  );

  test.each([
    '',
    'tomorrow',
    'now',
    '2026-11-25',
    '2026-11-25T00:00:00',
    '2026-11-25T00:00:00 UTC',
    '2026-11-25T00Z',
    '20261125T000000Z',
    '2026-11-25T24:00:00Z',
    '2026-11-25T00:60:00Z',
    '2026-11-25T00:00:60Z',
    '2026-11-31T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2027-02-29T00:00:00Z',
    '0000-00-00T00:00:00Z',
    '2026-11-25T00:00:00+15:00',
    '2026-11-25T00:00:00+01:60',
    '2026-11-25T00:00:00+1:00',
    '2026-11-25T00:00:00+01',
    '2026-11-25T00:00:00.Z',
    '2026-11-25T00:00:00.1234567890Z',
    ' 2026-11-25T00:00:00Z',
    '2026-11-25T00:00:00Z\n',
    '+002026-11-25T00:00:00Z',
    '1764028800',
    'Wed, 25 Nov 2026 00:00:00 GMT',
    '2026-W48-3T00:00:00Z',
    '2026-11-25T00:00:00−08:00',
    'in a minute',
    'in 1.5 hours',
    'in -1 hours',
    'in 1 week',
    'in 1 hourute',
    'in 1 m',
    'in  1 hour',
    'in 1 hour ',
    '1 hour',
    'in 1234567 minutes',
    'in 1 hour and 5 minutes',
    'in ١ hour',
  ])('is refused where it is malformed: %j', (text) => {
    expect(() => read(text)).toThrow(
      'Invalid `scheduled_at` field: must be a time with its offset in ISO 8601, or like `in 5 minutes`, `in 2 hours`, `in 3 days`.',
    );
  });

  test.each(['in 31 days', 'in 721 hours', '2026-12-24T12:00:00.001Z', '9999-12-31T23:59:59Z'])(
    'is refused more than 30 days ahead: %s',
    (text) => {
      expect(() => read(text)).toThrow('must be at most 30 days ahead');
    },
  );

  test('reads back what JavaScript writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: NOW + 1, max: NOW + 30 * 86_400_000 }), (atMs) => {
        expect(read(new Date(atMs).toISOString())).toBe(atMs);
      }),
    );
  });

  test('never throws anything but a refusal', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9:TZ.+-]{0,40}$/)), (text) => {
        try {
          read(text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_field' });
        }
      }),
    );
  });
});
