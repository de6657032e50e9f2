import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classifyReply, isPositive, REPLY_RULES, ruleOf } from '../../src/delivery/classify-reply.ts';
import type { Stage } from '../../src/smtp/types.ts';
import { type Case, expectClass } from './reply-case.ts';
import { replyOf } from './reply-of.ts';

/** One case for each row of the rules, in their order. */
const ROWS: readonly Case[] = [
  [
    'Gmail, a wrong password',
    'auth',
    [
      '535-5.7.8 Username and Password not accepted. For more information, go to',
      '535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1-20020a05sm1 - gsmtp',
    ],
    'relay',
    'temporary',
  ],
  [
    'Postfix, going away',
    'rcpt',
    '421 4.3.2 Service shutting down and closing transmission channel',
    'rate',
    'temporary',
  ],
  [
    'Exchange, without AUTH',
    'mail',
    '530 5.7.57 Client not authenticated to send mail. [AM0PR02CA0001.eurprd02.prod.outlook.com]',
    'relay',
    'temporary',
  ],
  [
    'Postfix, with its SASL server down',
    'mail',
    '454 4.7.0 Temporary authentication failure: Connection lost to authentication server',
    'relay',
    'temporary',
  ],
  [
    'Exim, without AUTH',
    'rcpt',
    '550 SMTP AUTH is required for message submission on port 587',
    'relay',
    'temporary',
  ],
  ['Postfix, after a dot it refused', 'mail', '503 5.5.1 Error: nested MAIL command', 'rate', 'temporary'],
  [
    'Gmail, past the daily limit',
    'dot',
    [
      '550-5.4.5 Daily user sending limit exceeded. For more information on Gmail',
      '550 5.4.5 sending limits go to https://support.google.com/a/answer/166852 - gsmtp',
    ],
    'rate',
    'temporary',
  ],
  [
    'Gmail, past the daily limit of its relay',
    'dot',
    [
      '550-5.7.1 Daily SMTP relay limit exceeded for customer. For more information on',
      '550 5.7.1 SMTP relay sending limits please contact your administrator. - gsmtp',
    ],
    'rate',
    'temporary',
  ],
  ['Postfix, too many recipients', 'rcpt', '452 4.5.3 Error: too many recipients', 'rate', 'temporary'],
  ['qmail, too many recipients', 'rcpt', '552 Too many recipients', 'rate', 'temporary'],
  [
    'Gmail, a busy mailbox',
    'rcpt',
    [
      '550-5.2.1 The user you are trying to contact is receiving mail at a',
      '550-5.2.1 rate that prevents additional messages from being delivered. For more',
      '550 5.2.1 information, go to https://support.google.com/mail/?p=ReceivingRatePerm - gsmtp',
    ],
    'rate',
    'temporary',
  ],
  [
    'Postfix, about the sender in its reply to RCPT',
    'rcpt',
    '550 5.1.8 <me@nowhere.example>: Sender address rejected: Domain not found',
    'message',
    'permanent',
  ],
  [
    'Postfix, an unknown user',
    'rcpt',
    '550 5.1.1 <who@example.net>: Recipient address rejected: User unknown in local recipient table',
    'recipient',
    'hard',
  ],
  [
    'Gmail, a disabled account',
    'rcpt',
    [
      '550-5.2.1 The email account that you tried to reach is inactive. For more',
      '550 5.2.1 information, go to https://support.google.com/mail/?p=DisabledUser - gsmtp',
    ],
    'recipient',
    'hard',
  ],
  [
    'Gmail, a full mailbox',
    'rcpt',
    [
      "552-5.2.2 The recipient's inbox is out of storage space and inactive. Please",
      '552 5.2.2 direct the recipient to https://support.google.com/mail/?p=OverQuotaPerm - gsmtp',
    ],
    'recipient',
    'permanent',
  ],
  ['Postfix, no relaying', 'rcpt', '554 5.7.1 <who@example.net>: Relay access denied', 'policy', 'permanent'],
  ['Exim, an unknown user', 'rcpt', '550 Unrouteable address', 'recipient', 'permanent'],
  [
    'Gmail, DMARC',
    'dot',
    [
      '550-5.7.26 Unauthenticated email from example.com is not accepted due to',
      "550 5.7.26 domain's DMARC policy. Please contact the administrator of - gsmtp",
    ],
    'policy',
    'permanent',
  ],
  [
    'Exim, spam',
    'dot',
    '550 This message was classified as SPAM and may not be delivered',
    'policy',
    'permanent',
  ],
  ['Postfix, too large', 'mail', '552 5.3.4 Message size exceeds fixed limit', 'message', 'permanent'],
];

describe('each rule decides about the reply it is for', () => {
  test.each(ROWS.map((row, index) => [index, ...row] as const))('row %i: %s, at %s', (index, ...row) => {
    expect(ruleOf(row[1], replyOf(...[row[2]].flat()))).toBe(REPLY_RULES[index]);
    expectClass(row);
  });

  test('and no rule is without a case', () => {
    expect(ROWS).toHaveLength(REPLY_RULES.length);
  });
});

describe('what is unknown or out of place is temporary', () => {
  test.each<Case>([
    ['250 where 354 is due', 'data', '250 2.0.0 Ok', 'message', 'temporary'],
    ['354 to MAIL', 'mail', '354 go ahead', 'message', 'temporary'],
    ['334 to RCPT', 'rcpt', '334 VXNlcm5hbWU6', 'recipient', 'temporary'],
    ['354 to the dot', 'dot', '354 go ahead', 'message', 'temporary'],
    ['an unheard-of 4xx', 'dot', '499 4.9.9 ?', 'message', 'temporary'],
  ])('%s, at %s: %s', (...row) => expectClass(row));

  const stages: Stage[] = [
    'connect',
    'banner',
    'ehlo',
    'starttls',
    'tls',
    'auth',
    'mail',
    'rcpt',
    'data',
    'body',
    'dot',
  ];
  test('of any reply, only a 5xx in a transaction is permanent, and only a 5xx to RCPT is hard', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...stages),
        fc.integer({ min: 200, max: 599 }),
        fc.option(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 99 }))),
        fc.string(),
        (stage, code, enhanced, text) => {
          const reply = {
            code,
            ...(enhanced ? { enhanced: `${Math.floor(code / 100)}.${enhanced.join('.')}` } : {}),
            lines: [text],
          };
          const { scope, temporary, hard } = classifyReply(stage, reply);
          if (code < 500 || stages.indexOf(stage) < stages.indexOf('mail')) expect(temporary).toBe(true);
          if (hard)
            expect({ stage, scope, temporary }).toEqual({
              stage: 'rcpt',
              scope: 'recipient',
              temporary: false,
            });
          if (scope === 'relay' || scope === 'rate') expect(temporary).toBe(true);
        },
      ),
    );
  });
});

describe('an enhanced code', () => {
  test('of the class of the basic code outranks it', () => {
    expect(classifyReply('rcpt', { code: 554, enhanced: '5.1.1', lines: ['5.1.1 x'] })).toMatchObject({
      hard: true,
    });
    expect(classifyReply('rcpt', { code: 550, enhanced: '5.7.1', lines: ['5.7.1 x'] })).toMatchObject({
      scope: 'policy',
    });
  });

  test.each([
    [450, '5.1.1', true],
    [550, '4.2.1', false],
    [550, '2.1.5', false],
    [454, '5.7.0', true],
  ])('is ignored where the classes disagree: %i %s', (code, enhanced, temporary) => {
    const alone = classifyReply('rcpt', { code, lines: ['x'] });
    expect(classifyReply('rcpt', { code, enhanced, lines: ['x'] })).toEqual(alone);
    expect(alone).toEqual({ scope: 'recipient', temporary, hard: false });
  });
});

test.each([
  [199, false],
  [200, true],
  [250, true],
  [299, true],
  [300, false],
  [354, false],
  [450, false],
  [550, false],
])('%i is positive: %s', (code, positive) => {
  expect(isPositive({ code, lines: [] })).toBe(positive);
});
