/** What real servers say, by whom it is about. */
import { describe, test } from 'vitest';
import { type Case, expectClass } from './reply-case.ts';

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
