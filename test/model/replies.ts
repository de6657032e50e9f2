/** Replies, and what each means at its place: written down by hand, and not read from the rules under test. */
import fc from 'fast-check';
import type { Reply } from '../../src/smtp/types.ts';
import { replyOf } from '../delivery/reply-of.ts';

export interface Said {
  readonly reply: Reply;
  /**
   * `relay`: about the relay and nobody else. `crowded`: too many recipients in one transaction. `gone`: never,
   * and nothing can have arrived there before.
   */
  readonly means: 'yes' | 'later' | 'never' | 'gone' | 'relay' | 'crowded';
}

const said = (means: Said['means'], ...texts: string[]): Said[] =>
  texts.map((text) => ({ means, reply: replyOf(text) }));

const RELAY = said('relay', '530 5.7.0 Authentication required', '535 5.7.8 Bad credentials');
const CLOSING = said('later', '421 4.3.2 Closing');

export const TO_MAIL: readonly Said[] = [
  ...said('yes', '250 2.1.0 Ok', '250 Ok'),
  ...said('later', '451 4.3.0 Try later', '452 4.3.1 No space'),
  ...said('never', '553 5.1.8 Sender refused'),
  ...CLOSING,
  ...RELAY,
];
export const TO_RCPT: readonly Said[] = [
  ...said(
    'yes',
    '250 2.1.5 Ok',
    '250 Ok',
    '251 2.1.5 Forwards',
    '250 2.1.5 Ok',
    '250 2.1.5 Ok',
    '250 2.1.5 Ok',
  ),
  ...said('later', '450 4.2.1 Busy', '450 4.7.1 Greylisted', '550 5.4.5 Daily user sending limit exceeded'),
  ...said('gone', '550 5.1.1 No such user'),
  ...said('never', '552 5.2.2 Mailbox full', '554 5.7.1 Refused'),
  ...said('crowded', '452 4.5.3 Too many recipients', '452 too many recipients', '552 5.5.3 Too many'),
  ...CLOSING,
  ...RELAY.slice(0, 1),
];
export const TO_DATA: readonly Said[] = [
  ...said('yes', '354 Go ahead', '354 Go ahead', '354 Go ahead', '354 Go ahead', '354 Go ahead'),
  ...said('later', '451 4.3.0 Try later'),
  ...said('never', '554 5.5.1 No'),
  ...CLOSING,
  ...RELAY.slice(0, 1),
];
/** A 421 and a 3xx are no word on whether the message was kept. */
export const TO_DOT: readonly (Said & { readonly isDoubt: boolean })[] = [
  ...said('yes', '250 2.0.0 Queued', '250 Ok', '250 2.0.0 Queued', '250 Ok'),
  ...said(
    'later',
    '451 4.3.0 Try later',
    '452 4.3.1 No space',
    '550 5.4.5 Daily user sending limit exceeded',
  ),
  ...said('never', '554 5.7.1 Spam', '550 5.6.0 Malformed', '552 5.3.4 Too big'),
  ...said('later', '421 4.3.2 Closing', '354 Go ahead', '334 '),
  ...RELAY.slice(0, 1),
].map((answer) => ({
  ...answer,
  isDoubt: answer.reply.code === 421 || (answer.reply.code < 400 && answer.reply.code >= 300),
}));

/** Mostly what lets the transaction go on. */
export function mostlyYes<T extends Said>(said: readonly T[], weight: number): fc.Arbitrary<T> {
  return fc.oneof(
    { weight, arbitrary: fc.constantFrom(...said.filter(({ means }) => means === 'yes')) },
    { weight: 1, arbitrary: fc.constantFrom(...said) },
  );
}
