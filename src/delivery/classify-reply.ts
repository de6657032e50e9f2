/**
 * Who is a reply about? That decides what follows, before the class of its code does: a wrong password at
 * the relay must not fail ten thousand messages. The rules are data; the first row that fits wins.
 *
 * - `relay`: the relay itself, or our credentials there. Messages wait; no attempt is used up.
 * - `rate`: too fast, too much, try later. Temporary, whatever the code says.
 * - `message`: the sender or the message. All its recipients share the outcome.
 * - `recipient`: this recipient alone. `hard` marks the codes that say the mailbox does not exist.
 * - `policy`: content or reputation. Says nothing about the recipient.
 *
 * Unknown means temporary. The enhanced code (RFC 3463) outranks the basic code where their classes agree.
 */
import type { Reply, Stage } from '../smtp/types.ts';

export type ReplyScope = 'relay' | 'rate' | 'message' | 'recipient' | 'policy';

export interface ReplyClass {
  readonly scope: ReplyScope;
  readonly temporary: boolean;
  /** True where the reply says that the mailbox or its domain does not exist (RFC 3463: 5.1.1, 5.1.2, 5.1.10 …). */
  readonly hard: boolean;
}

export interface ReplyRule {
  readonly stages: readonly Stage[] | 'any';
  readonly codes: readonly number[] | 'any';
  readonly enhanced?: RegExp;
  readonly text?: RegExp;
  readonly scope: ReplyScope;
  /** Absent: by the class of the code. */
  readonly temporary?: boolean;
  readonly hard?: boolean;
}

const SESSION_STAGES: readonly Stage[] = ['connect', 'banner', 'ehlo', 'starttls', 'tls', 'auth'];
const TRANSACTION_STAGES: readonly Stage[] = ['mail', 'rcpt', 'data', 'body', 'dot'];

export const REPLY_RULES: readonly ReplyRule[] = [
  { stages: SESSION_STAGES, codes: 'any', scope: 'relay', temporary: true },
  { stages: 'any', codes: [421], scope: 'rate', temporary: true },
  { stages: TRANSACTION_STAGES, codes: [530, 534, 535, 538], scope: 'relay', temporary: true },
  { stages: TRANSACTION_STAGES, codes: [454], enhanced: /^4\.7\.0$/, scope: 'relay', temporary: true },
  {
    stages: TRANSACTION_STAGES,
    codes: [503, 550, 554],
    text: /\bSMTP AUTH is required\b|\bAUTH first\b/i,
    scope: 'relay',
    temporary: true,
  },
  // Out of step with the session, as Postfix is after it refused a dot: says nothing of this mail.
  { stages: TRANSACTION_STAGES, codes: [503], scope: 'rate', temporary: true },
  { stages: 'any', codes: 'any', enhanced: /^5\.4\.5$/, scope: 'rate', temporary: true },
  {
    stages: TRANSACTION_STAGES,
    codes: [550, 554],
    enhanced: /^5\.(?:1\.90|7\.\d+)$/,
    text: /\b(?:daily|hourly|sending|rate) (?:\w+ )?(?:limit|quota)\b|\blimit exceeded\b/i,
    scope: 'rate',
    temporary: true,
  },
  { stages: ['rcpt'], codes: [452, 552], enhanced: /^[45]\.5\.3$/, scope: 'rate', temporary: true },
  // RFC 5321 section 4.5.3.1.10: some servers say 552 where 452 is meant.
  { stages: ['rcpt'], codes: [452, 552], text: /\btoo many recipients\b/i, scope: 'rate', temporary: true },
  // A busy mailbox, under the code that otherwise says that it is disabled.
  {
    stages: ['rcpt'],
    codes: [550],
    enhanced: /^5\.2\.1$/,
    text: /\breceiving mail (?:too quickly|at a rate)\b/i,
    scope: 'rate',
    temporary: true,
  },
  // Postfix speaks of the sender in its replies to RCPT.
  { stages: ['rcpt'], codes: 'any', enhanced: /^[45]\.1\.[78]$/, scope: 'message' },
  { stages: ['rcpt'], codes: 'any', enhanced: /^5\.1\.(?:1|2|3|6|10)$/, scope: 'recipient', hard: true },
  { stages: ['rcpt'], codes: 'any', enhanced: /^5\.2\.1$/, scope: 'recipient', hard: true },
  { stages: ['rcpt'], codes: 'any', enhanced: /^[45]\.[12]\.\d+$/, scope: 'recipient' },
  { stages: ['rcpt'], codes: 'any', enhanced: /^[45]\.7\.\d+$/, scope: 'policy' },
  { stages: ['rcpt'], codes: 'any', scope: 'recipient' },
  { stages: ['data', 'body', 'dot'], codes: 'any', enhanced: /^[45]\.7\.\d+$/, scope: 'policy' },
  { stages: ['data', 'body', 'dot'], codes: [550, 554], text: /\bspam\b/i, scope: 'policy' },
  { stages: 'any', codes: 'any', scope: 'message' },
];

export function classifyReply(stage: Stage, reply: Reply): ReplyClass {
  const rule = ruleOf(stage, reply);
  return {
    scope: rule?.scope ?? 'message',
    temporary: rule?.temporary ?? classOf(reply) !== 5,
    hard: rule?.hard ?? false,
  };
}

/** The row that decides. The last one fits everything. */
export function ruleOf(stage: Stage, reply: Reply): ReplyRule | undefined {
  const enhanced = reply.enhanced?.startsWith(`${classOf(reply)}.`) ? reply.enhanced : undefined;
  // The enhanced code stands before each line: without it a phrase reads on across lines.
  const text = reply.lines.map((line) => line.replace(/^[245]\.\d{1,3}\.\d{1,3} /, '')).join(' ');
  return REPLY_RULES.find(
    (candidate) =>
      (candidate.stages === 'any' || candidate.stages.includes(stage)) &&
      (candidate.codes === 'any' || candidate.codes.includes(reply.code)) &&
      (!candidate.enhanced || (enhanced !== undefined && candidate.enhanced.test(enhanced))) &&
      (!candidate.text || candidate.text.test(text)),
  );
}

export function isPositive(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}

function classOf(reply: Reply): number {
  return Math.floor(reply.code / 100);
}
