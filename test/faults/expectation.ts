/** What must become of the messages of a cell: the states that are right, and how many doubts its fault explains. */
import { actOf, type Cell, isBody, isDot, isReply } from './grid.ts';

export type Role = 'ok' | 'gone' | 'later';

export interface Expectation {
  readonly statuses: Readonly<Record<Role, readonly string[]>>;
  readonly minDoubts: number;
  readonly maxDoubts: number;
}

const ORDINARY = { ok: ['delivered'], gone: ['failed'], later: ['delivered'] } as const;
const ANY = ['delivered', 'failed', 'in_doubt'];

/** How many messages the cell sends, which of them meets the fault, and whether the last one waits for it. */
export function planOf({ position }: Cell): { messages: number; faulted: number; lastWaits: boolean } {
  switch (position) {
    case 'dot-overlapped':
      return { messages: 3, faulted: 0, lastWaits: false };
    case 'rset':
    case 'next-mail':
    case 'next-data':
      return { messages: 3, faulted: 1, lastWaits: false };
    case 'idle':
    case 'quit':
      return { messages: 2, faulted: 0, lastWaits: true };
    default:
      return { messages: 1, faulted: 0, lastWaits: false };
  }
}

export function expectationOf(cell: Cell, message: number): Expectation {
  const { position, fault, policy } = cell;
  const act = actOf(fault);
  const isFaulted = planOf(cell).faulted === message;
  const held = policy === 'hold' ? ['in_doubt'] : ['delivered'];
  const noDoubt = { statuses: ORDINARY, minDoubts: 0, maxDoubts: 0 };
  const perhaps = {
    statuses: { ok: ['delivered', ...held], gone: ['failed'], later: ['delivered', ...held] },
    minDoubts: 0,
    maxDoubts: 1,
  };
  if (fault === 'twice') {
    // A server that answers more than it was asked: verdicts may fall on the wrong recipient, but nothing is lost.
    return { statuses: { ok: ANY, gone: ANY, later: ANY }, minDoubts: 0, maxDoubts: 1 };
  }
  if (position === 'next-mail' || position === 'next-data') {
    // What ends the connection here may take the reply to the dot before it along.
    if (message === 0) return ['rst', 'kill'].includes(act) ? perhaps : noDoubt;
    if (act === 'kill') return perhaps;
  }
  if (!isFaulted || position === 'idle' || position === 'quit') {
    // A kill waits for all cells, and meanwhile whoever was deferred is tried again.
    if (act === 'kill' && message > 0) return perhaps;
    if (act !== 'kill' || cell.recipients !== 'mixed') return noDoubt;
    return { ...perhaps, statuses: { ...ORDINARY, later: perhaps.statuses.later } };
  }
  if (isBody(position)) {
    // What is said early is the answer to a dot that has left already; a refusal counts then.
    const ok = act.startsWith('5') ? [...perhaps.statuses.ok, 'failed'] : perhaps.statuses.ok;
    return { ...perhaps, statuses: { ...perhaps.statuses, ok } };
  }
  if (position === 'before-dot' || position === 'dot-reply-begun') return doubtful(held);
  if (isDot(position)) {
    if (isReply(fault)) {
      // Refused by a server that is going away: counted as a doubt, and tried again whatever the policy.
      if (act === '421') return { statuses: ORDINARY, minDoubts: 1, maxDoubts: 1 };
      return act.startsWith('5') ? failing(cell) : noDoubt;
    }
    return ['torn', 'slow'].includes(act) ? noDoubt : doubtful(held);
  }
  const isEnvelope = ['mail', 'rcpt-first', 'rcpt-middle', 'rcpt-last', 'data', 'next-mail', 'next-data'];
  if (isReply(fault) && act.startsWith('5') && isEnvelope.includes(position)) return failing(cell);
  return noDoubt;
}

/** The recipient that was accepted is in doubt; the others were refused before. */
function doubtful(held: readonly string[]): Expectation {
  return {
    statuses: { ok: held, gone: ['failed'], later: ['delivered'] },
    minDoubts: 1,
    maxDoubts: 1,
  };
}

/** Refused for good: everybody at MAIL, the one at RCPT, those who were accepted at DATA and at the dot. */
function failing({ position, recipients }: Cell): Expectation {
  const all = position === 'mail' || position === 'next-mail';
  const isOneOfMany = position.startsWith('rcpt') && recipients === 'twenty';
  const ok = isOneOfMany
    ? ['delivered', 'failed']
    : ['rcpt-middle', 'rcpt-last'].includes(position)
      ? ['delivered']
      : ['failed'];
  // The recipient that is busy is so for the first message only: the second one's is accepted.
  const later = all || ['rcpt-last', 'next-data'].includes(position) ? ['failed'] : ['delivered'];
  return { statuses: { ok, gone: ['failed'], later }, minDoubts: 0, maxDoubts: 0 };
}
