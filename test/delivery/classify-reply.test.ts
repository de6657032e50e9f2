import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  classifyReply,
  isPositive,
  REPLY_RULES,
  type ReplyScope,
  ruleOf,
} from '../../src/delivery/classify-reply.ts';
import type { Stage } from '../../src/smtp/types.ts';
import { replyOf } from './reply-of.ts';

type Verdict = 'temporary' | 'permanent' | 'hard';

/** What a server said, at which stage, and who it is about. */
type Case = [server: string, stage: Stage, reply: string | readonly string[], ReplyScope, Verdict];

function expectClass([, stage, text, scope, verdict]: Case): void {
  expect(classifyReply(stage, replyOf(...[text].flat()))).toEqual({
    scope,
    temporary: verdict === 'temporary',
    hard: verdict === 'hard',
  });
}

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

describe('a reply about the relay or our credentials there fails no message', () => {
  test.each<Case>([
    ['no AUTH in the session', 'mail', '530 5.7.0 Must issue a STARTTLS command first', 'relay', 'temporary'],
    [
      'Gmail, no AUTH',
      'mail',
      '530-5.7.0 Authentication Required. For more information, go to\n530 5.7.0  https://support.google.com/accounts/troubleshooter/2402620. - gsmtp'.split(
        '\n',
      ),
      'relay',
      'temporary',
    ],
    ['534', 'auth', '534 5.7.9 Application-specific password required. - gsmtp', 'relay', 'temporary'],
    [
      '534 late',
      'mail',
      '534 5.7.14 Please log in via your web browser and then try again',
      'relay',
      'temporary',
    ],
    ['535 late', 'rcpt', '535 5.7.8 Error: authentication failed', 'relay', 'temporary'],
    [
      '538',
      'auth',
      '538 5.7.11 Encryption required for requested authentication mechanism',
      'relay',
      'temporary',
    ],
    ['538 late', 'dot', '538 5.7.11 Encryption required', 'relay', 'temporary'],
    [
      'Exchange, basic AUTH off',
      'auth',
      '535 5.7.139 Authentication unsuccessful, basic authentication is disabled.',
      'relay',
      'temporary',
    ],
    ['Exchange, a locked mailbox', 'auth', '535 5.7.3 Authentication unsuccessful', 'relay', 'temporary'],
    ['SES, throttled', 'auth', '454 Temporary authentication failure', 'relay', 'temporary'],
    ['421 banner', 'banner', '421 4.7.0 Too many concurrent connections', 'relay', 'temporary'],
    ['554 banner', 'banner', '554 5.7.1 Service unavailable; client host blocked', 'relay', 'temporary'],
    ['EHLO refused', 'ehlo', '550 5.7.1 Command rejected', 'relay', 'temporary'],
    [
      'STARTTLS refused',
      'starttls',
      '454 4.7.0 TLS not available due to local problem',
      'relay',
      'temporary',
    ],
    ['AUTH first', 'mail', '503 Error: need EHLO and AUTH first !', 'relay', 'temporary'],
  ])('%s, at %s: %s', (...row) => expectClass(row));
});

describe('a reply about rate or quota only delays', () => {
  test.each<Case>([
    [
      'Gmail, too fast',
      'dot',
      '421-4.7.28 Our system has detected an unusual rate of mail\n421 4.7.28 from your IP. - gsmtp'.split(
        '\n',
      ),
      'rate',
      'temporary',
    ],
    ['a 421 of the wrong class', 'mail', '421 Too many messages', 'rate', 'temporary'],
    [
      'Postfix, greylisted with 450',
      'rcpt',
      '450 4.2.0 <who@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/',
      'recipient',
      'temporary',
    ],
    [
      'greylisted with 451 4.7.1',
      'rcpt',
      '451 4.7.1 Greylisting in action, please come back later',
      'policy',
      'temporary',
    ],
    ['greylisted with 450 4.7.1', 'rcpt', '450 4.7.1 try again in 300 seconds', 'policy', 'temporary'],
    [
      'Gmail, a busy mailbox',
      'rcpt',
      '450 4.2.1 The user you are trying to contact is receiving mail too quickly.',
      'recipient',
      'temporary',
    ],
    ['552 5.5.3', 'rcpt', '552 5.5.3 Too many recipients this session', 'rate', 'temporary'],
    ['Exim, too many recipients', 'rcpt', '452 too many recipients', 'rate', 'temporary'],
    ['5.4.5 at MAIL', 'mail', '550 5.4.5 Daily sending quota exceeded', 'rate', 'temporary'],
    ['554 sending quota', 'rcpt', '554 5.7.1 Hourly sending quota reached', 'rate', 'temporary'],
    ['rate limit', 'mail', '550 5.7.1 Rate limit reached', 'rate', 'temporary'],
    [
      'Exchange, tenant over quota',
      'dot',
      "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients",
      'rate',
      'temporary',
    ],
    [
      'Exchange, mailbox over quota',
      'rcpt',
      "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
      'rate',
      'temporary',
    ],
    [
      'Exchange, too many at once',
      'dot',
      '432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded',
      'message',
      'temporary',
    ],
    ['out of disk space', 'mail', '452 4.3.1 Insufficient system storage', 'message', 'temporary'],
  ])('%s, at %s: %s', (...row) => expectClass(row));
});

describe('a reply about the sender or the message fails it, and nobody is blamed', () => {
  test.each<Case>([
    ['5.1.7', 'mail', '501 5.1.7 Bad sender address syntax', 'message', 'permanent'],
    [
      '5.1.8',
      'mail',
      '550 5.1.8 <a@b.example>: Sender address rejected: Domain not found',
      'message',
      'permanent',
    ],
    [
      '5.7.1 at MAIL',
      'mail',
      '553 5.7.1 <a@b.example>: Sender address rejected: not owned by user x',
      'message',
      'permanent',
    ],
    [
      'Exchange, send as',
      'mail',
      '550 5.7.60 SMTP; Client does not have permissions to send as this sender',
      'message',
      'permanent',
    ],
    [
      'Exchange, send as denied after the dot',
      'dot',
      '554 5.2.252 SendAsDenied; a@b.example not allowed to send as c@d.example',
      'message',
      'permanent',
    ],
    ['too large at the dot', 'dot', '552 5.3.4 Error: message file too big', 'message', 'permanent'],
    [
      'Gmail, too large',
      'dot',
      "552-5.3.4 Your message exceeded Google's message size limits.\n552 5.3.4 See support - gsmtp".split(
        '\n',
      ),
      'message',
      'permanent',
    ],
    ['a size limit is no rate', 'dot', '554 5.3.4 Message size limit exceeded', 'message', 'permanent'],
    ['5.6', 'dot', '554 5.6.0 Corrupt message content', 'message', 'permanent'],
    [
      'Gmail, no From',
      'dot',
      '550-5.7.1 Messages missing a valid From header are not accepted. - gsmtp\n550 5.7.1 x'.split('\n'),
      'policy',
      'permanent',
    ],
    ['555', 'mail', '555 5.5.4 Unsupported option: SMTPUTF8', 'message', 'permanent'],
    ['553', 'mail', '553 sorry, that domain is not in my list of allowed senders', 'message', 'permanent'],
    ['DATA refused', 'data', '554 Transaction failed', 'message', 'permanent'],
    ['DATA put off', 'data', '451 4.3.0 Error: queue file write error', 'message', 'temporary'],
    [
      '4.1.8 at RCPT',
      'rcpt',
      '450 4.1.8 <a@b.example>: Sender address rejected: Domain not found',
      'message',
      'temporary',
    ],
  ])('%s, at %s: %s', (...row) => expectClass(row));
});

describe('a reply about one recipient fails that recipient', () => {
  test.each<Case>([
    [
      'Gmail, 5.1.1',
      'rcpt',
      '550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 Please try - gsmtp'.split(
        '\n',
      ),
      'recipient',
      'hard',
    ],
    [
      'Exchange, 5.1.10',
      'rcpt',
      '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
      'recipient',
      'hard',
    ],
    [
      '5.1.2',
      'rcpt',
      '550 5.1.2 <a@nowhere.example>: Recipient address rejected: Domain not found',
      'recipient',
      'hard',
    ],
    ['5.1.3', 'rcpt', '501 5.1.3 Bad recipient address syntax', 'recipient', 'hard'],
    ['5.1.6', 'rcpt', '551 5.1.6 User has moved', 'recipient', 'hard'],
    [
      'Exchange, 5.4.1',
      'rcpt',
      '550 5.4.1 Recipient address rejected: Access denied.',
      'recipient',
      'permanent',
    ],
    ['Exim, no such user', 'rcpt', '550 No such user here', 'recipient', 'permanent'],
    [
      'mailbox full, 4.2.2',
      'rcpt',
      '452 4.2.2 The email account that you tried to reach is over quota.',
      'recipient',
      'temporary',
    ],
    ['mailbox full, 5.2.2', 'rcpt', '552 5.2.2 Mailbox full', 'recipient', 'permanent'],
    ['552 without a word on recipients', 'rcpt', '552 Mailbox full', 'recipient', 'permanent'],
    [
      'unverified',
      'rcpt',
      '450 4.1.1 <a@b.example>: Recipient address rejected: unverified address',
      'recipient',
      'temporary',
    ],
    ['Exim, callout', 'rcpt', '451 Could not complete recipient verify callout', 'recipient', 'temporary'],
    ['busy mailbox', 'rcpt', '450 4.2.1 Mailbox busy', 'recipient', 'temporary'],
  ])('%s, at %s: %s', (...row) => expectClass(row));
});

describe('a reply about content or reputation fails by policy, and is never hard', () => {
  test.each<Case>([
    ['5.7.1 at the dot', 'dot', '550 5.7.1 Message contains spam or virus', 'policy', 'permanent'],
    [
      '5.7.1 at RCPT',
      'rcpt',
      '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
      'policy',
      'permanent',
    ],
    [
      'Gmail, DMARC at RCPT',
      'rcpt',
      '550 5.7.26 Unauthenticated email is not accepted',
      'policy',
      'permanent',
    ],
    [
      'Gmail, spam',
      'dot',
      '550-5.7.1 [192.0.2.1] Our system has detected that this message is likely\n550 5.7.1 unsolicited mail. - gsmtp'.split(
        '\n',
      ),
      'policy',
      'permanent',
    ],
    ['554 spam', 'dot', '554 Message rejected as spam', 'policy', 'permanent'],
    [
      'Exchange, 5.7.133',
      'rcpt',
      '550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required',
      'policy',
      'permanent',
    ],
    [
      '4.7.1 at the dot',
      'dot',
      '451 4.7.1 Message temporarily rejected by content filter',
      'policy',
      'temporary',
    ],
  ])('%s, at %s: %s', (...row) => expectClass(row));
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
