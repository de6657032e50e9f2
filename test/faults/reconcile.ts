/**
 * Three ledgers, compared: A is what the client was told, B what our API says, C what the SMTP server stored
 * and answered. Every difference is a finding; those that mean a lost message or a copy that nobody knows of
 * are counted apart.
 */
import type { Expectation, Role } from './expectation.ts';

/** Of ledger A. `id` is absent where no answer ever said one. */
export interface ToldMessage {
  readonly token: string;
  readonly id: string | undefined;
  readonly recipients: readonly string[];
  readonly expectation?: Expectation;
}

/** Of ledger B: the answer of `GET /v1/emails/{id}`, as far as it is looked at. */
export interface LedgerView {
  readonly id: string;
  readonly message_id: string;
  readonly possible_duplicates: number;
  readonly deliveries: readonly {
    readonly recipient: string;
    readonly status: string;
    readonly last_reply: string | null;
    readonly next_attempt_at: string | null;
  }[];
  readonly timeline: readonly { readonly type: string; readonly recipients: readonly string[] }[];
}

/** Of ledger C: a whole message that the server kept. */
export interface StoredCopy {
  readonly recipients: readonly string[];
  readonly data: Buffer;
  /** The reply that the server gave, or began to give. */
  readonly answered: string | undefined;
}

export interface Findings {
  lost: number;
  unaccounted: number;
  /** Everything that is wrong, the lost and the unaccounted among it. */
  readonly texts: string[];
  readonly copies: number;
  readonly doubts: number;
}

const ENDED = ['delivered', 'failed', 'expired'];

/** Nothing will change any more without somebody asking for it. */
export function isSettled(view: LedgerView): boolean {
  return view.deliveries.every(
    ({ status, next_attempt_at }) =>
      ENDED.includes(status) || (status === 'in_doubt' && next_attempt_at === null),
  );
}

export function tokenOf(copy: StoredCopy): string | undefined {
  return /^Subject: (\S+)/im.exec(copy.data.toString('latin1', 0, 4000))?.[1];
}

export function reconcile(
  told: readonly ToldMessage[],
  views: ReadonlyMap<string, LedgerView>,
  stored: readonly StoredCopy[],
): Findings {
  const findings = { lost: 0, unaccounted: 0, texts: [] as string[], copies: 0, doubts: 0 };
  const byToken = new Map<string, StoredCopy[]>();
  for (const copy of stored) {
    const token = tokenOf(copy) ?? '';
    byToken.set(token, [...(byToken.get(token) ?? []), copy]);
  }
  for (const message of told) {
    const copies = byToken.get(message.token) ?? [];
    byToken.delete(message.token);
    const view = message.id === undefined ? undefined : views.get(message.id);
    findings.copies += copies.length;
    if (!view) {
      if (message.id !== undefined) {
        findings.lost++;
        findings.texts.push(`${message.token}: accepted as ${message.id} and not on the ledger`);
      } else if (copies.length > 0) {
        findings.unaccounted += copies.length;
        findings.texts.push(`${message.token}: never accepted, and ${copies.length} copies at the server`);
      }
      continue;
    }
    findings.doubts += view.possible_duplicates;
    reconcileMessage(message, view, copies, findings);
  }
  for (const [token, copies] of byToken) {
    findings.unaccounted += copies.length;
    findings.texts.push(`${copies.length} copies of "${token}", which nobody sent`);
  }
  return findings;
}

function reconcileMessage(
  message: ToldMessage,
  view: LedgerView,
  copies: readonly StoredCopy[],
  findings: Findings,
): void {
  const say = (text: string) => findings.texts.push(`${message.token}: ${text}`);
  const { expectation } = message;
  const doubtEvents = view.timeline.filter(({ type }) => type === 'in_doubt');
  if (doubtEvents.length !== view.possible_duplicates)
    say(`${view.possible_duplicates} possible duplicates, but ${doubtEvents.length} events say so`);
  if (expectation && view.possible_duplicates < expectation.minDoubts)
    say(`${view.possible_duplicates} doubts on record where the fault leaves ${expectation.minDoubts}`);
  if (expectation && view.possible_duplicates > expectation.maxDoubts)
    say(`${view.possible_duplicates} doubts on record where the fault explains ${expectation.maxDoubts}`);
  const [first] = copies;
  if (first && copies.some(({ data }) => !data.equals(first.data))) say('its copies differ');
  if (first && !first.data.toString('latin1').includes(view.message_id)) say('carries another Message-ID');
  for (const recipient of message.recipients) {
    const delivery = view.deliveries.find((candidate) => candidate.recipient === recipient);
    if (!delivery) {
      findings.lost++;
      say(`no delivery to ${recipient}`);
      continue;
    }
    const { status } = delivery;
    const doubts = doubtEvents.filter(({ recipients }) => recipients.includes(recipient)).length;
    const got = copies.filter(({ recipients }) => recipients.includes(recipient));
    if (!isSettled({ ...view, deliveries: [delivery] })) {
      findings.lost++;
      say(`${recipient} is still ${status} (${delivery.last_reply})`);
    }
    if (status === 'delivered' && !got.some(({ answered }) => answered?.startsWith('250'))) {
      findings.lost++;
      say(`${recipient} is delivered, and the server never answered 250 to a copy for it`);
    }
    const allowed = (status === 'delivered' ? 1 : 0) + doubts;
    if (got.length > allowed) {
      findings.unaccounted += got.length - allowed;
      say(`${got.length} copies for ${recipient}, ${status} with ${doubts} doubts`);
    }
    const ends = view.timeline.filter(
      ({ type, recipients }) =>
        ['delivered', 'failed', 'bounced', 'expired'].includes(type) && recipients.includes(recipient),
    );
    const dueEnds = status === 'in_doubt' ? 0 : 1;
    if (ends.length !== dueEnds) say(`${ends.length} final events for ${recipient}, which is ${status}`);
    const right = expectation?.statuses[roleOf(recipient)];
    if (right && !right.includes(status))
      say(`${recipient} is ${status}, not ${right.join(' or ')} (${delivery.last_reply})`);
  }
}

export function roleOf(recipient: string): Role {
  if (recipient.startsWith('gone')) return 'gone';
  return recipient.startsWith('later') ? 'later' : 'ok';
}
