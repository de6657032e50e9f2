/**
 * Takes the place of a relay for mail of test keys: the session of an SMTP server that keeps nothing, and answers as
 * the recipients' addresses say. One session carries one message.
 */
import type { TestOutcome } from '../mime/test-address.ts';
import type { Envelope, EnvelopeVerdict, Reply, SmtpSession, Transaction } from '../smtp/types.ts';
import { SmtpFault } from '../smtp/types.ts';

export const SIMULATOR_ID = 'simulator';

/** What a recipient of the message stands for, and how often it was tried before. */
export interface SimulatedRecipient {
  readonly outcome: TestOutcome;
  readonly attempts: number;
}

const CAPABILITIES = {
  pipelining: true,
  eightBitMime: true,
  smtpUtf8: true,
  enhancedStatusCodes: true,
  size: undefined,
  authMethods: [],
  startTls: false,
  keywords: [],
};
const OK: Reply = { code: 250, enhanced: '2.1.0', lines: ['2.1.0 simulated'] };
const UNKNOWN: Reply = { code: 550, enhanced: '5.1.1', lines: ['5.1.1 simulated: no such mailbox'] };
const BUSY: Reply = { code: 450, enhanced: '4.2.1', lines: ['4.2.1 simulated: try again later'] };
const GO_AHEAD: Reply = { code: 354, lines: ['simulated'] };
const NOBODY: Reply = { code: 554, enhanced: '5.5.1', lines: ['5.5.1 simulated: no valid recipients'] };
const TAKEN: Reply = { code: 250, enhanced: '2.0.0', lines: ['2.0.0 simulated: delivered to nobody'] };

/** `recipients` are those of the envelope, in its order. */
export function simulatedSession(recipients: readonly SimulatedRecipient[]): SmtpSession {
  let alive = true;
  return {
    capabilities: CAPABILITIES,
    get alive() {
      return alive;
    },
    ended: new Promise(() => {}),
    begin: (envelope) => simulatedTransaction(envelope, recipients, () => (alive = false)),
    flush: () => {},
    quit: async () => {
      alive = false;
    },
    destroy: () => {
      alive = false;
    },
  };
}

function simulatedTransaction(
  envelope: Envelope,
  recipients: readonly SimulatedRecipient[],
  end: () => void,
): Transaction {
  const replies = envelope.recipients.map((_, position) => replyTo(recipients[position]));
  const isAnyTaken = replies.includes(OK);
  const verdict: EnvelopeVerdict = {
    mail: OK,
    recipients: replies,
    data: isAnyTaken ? GO_AHEAD : NOBODY,
    ready: isAnyTaken,
  };
  let dotSent = false;
  return {
    envelope: Promise.resolve(verdict),
    get dotSent() {
      return dotSent;
    },
    write: async () => {},
    finish: async () => {
      dotSent = true;
      if (!recipients.some(({ outcome, attempts }) => outcome === 'in_doubt' && attempts === 0)) return TAKEN;
      end();
      throw new SmtpFault('dot', 'closed', 'Simulated: the connection ended.');
    },
  };
}

function replyTo(recipient: SimulatedRecipient | undefined): Reply {
  if (recipient?.outcome === 'bounced') return UNKNOWN;
  return recipient?.outcome === 'deferred' && recipient.attempts === 0 ? BUSY : OK;
}
