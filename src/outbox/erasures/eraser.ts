/**
 * Erases a person from what lies in one Outbox: from the mail that was sent to the address, and from the events that
 * tell of the contact. In slices of one turn each, and each safe to repeat: what is erased is not found again.
 */
import { SealError, type SealingKey } from '../../crypto/seal.ts';
import { applyErasure } from '../../delivery/ending.ts';
import { logError } from '../../log.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { CLOSED, type LedgerItem, phaseOf } from '../ledger/message-row.ts';
import { openReplies, openSummary, resealSummary, sealReplies } from '../message-content.ts';
import { keyedTerm, recipientKey, unpackTerms } from '../terms.ts';
import { type EventEntry, isMessageEntry } from '../webhooks/event-entry.ts';
import { openEventData, sealEventData } from '../webhooks/event-payload.ts';
import type { OpenErasure } from './erasure-table.ts';
import { ERASED_ADDRESS, withoutRecipients } from './what-is-left.ts';

const MESSAGES_PER_SLICE = 100;
const ROWS_PER_SLICE = 2000;
/** Told of those whom the erasure is about, and without their address. */
const TELLS_NOTHING = 'contact.deleted';

export interface Owner {
  readonly accountId: string;
  readonly keys: readonly SealingKey[];
}

export class Eraser {
  private readonly ledger: Ledger;
  private readonly owner: Owner;
  private readonly erasure: OpenErasure;
  private after: string | undefined;
  /** Messages that were at their dot: nothing can be said of them before its verdict. */
  atDot = 0;

  constructor(ledger: Ledger, owner: Owner, erasure: OpenErasure) {
    this.ledger = ledger;
    this.owner = owner;
    this.erasure = erasure;
  }

  /** The next messages, newest first. False where there are no more. */
  eraseMail(nowMs: number): boolean {
    const { recipient, untilMs } = this.erasure;
    const { messages, hasMore } = this.ledger.list(
      {
        limit: MESSAGES_PER_SLICE,
        filter: { recipient, untilMs: untilMs + 1 },
        ...(this.after !== undefined && { after: this.after }),
      },
      nowMs,
    );
    for (const { id } of messages) this.eraseFrom(id, nowMs);
    this.after = messages.at(-1)?.id;
    return hasMore;
  }

  /** The next rows of the log after a number. */
  eraseEvents(after: number, nowMs: number): { readonly seq: number; readonly isEnd: boolean } {
    const words = [`"${this.erasure.contactId}/`, '"suppression.'];
    return this.ledger.events.rewrite(after, { words, rowLimit: ROWS_PER_SLICE, nowMs }, (entry) =>
      this.isAbout(entry) ? this.emptied(entry) : entry,
    );
  }

  private eraseFrom(id: string, nowMs: number): void {
    const item = this.ledger.messages.find(id);
    const terms = this.ledger.messages.findTerms(id);
    if (!item || !terms) return;
    if (item.dot?.pending) {
      this.atDot++;
      return;
    }
    try {
      this.ledger.erase(this.whatIsLeftOf(item, terms, nowMs), nowMs);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      // What cannot be opened shows nobody anything. It is not to keep the rest.
      logError('message_not_erased', error, { account_id: this.owner.accountId, message_id: id });
    }
  }

  private whatIsLeftOf(item: LedgerItem, packed: Uint8Array, nowMs: number) {
    const { keys, accountId } = this.owner;
    const { contactId, recipient } = this.erasure;
    const identity = { accountId, id: item.id };
    const { deliveries } = item.progress;
    // Behind those of the recipients are terms of other kinds.
    const places = unpackTerms(packed).flatMap((term, place) =>
      term === recipient && place < deliveries.length ? [place] : [],
    );
    const parts = {
      summary: openSummary(keys, identity, item.summary),
      replies: openReplies(keys, identity, item.replies),
      terms: packed,
    };
    const { summary, replies, terms } = withoutRecipients(parts, places, contactId);
    const progress = applyErasure(item.progress, places, nowMs);
    // The hash of a copy is of no use once nobody may get another.
    const dot = phaseOf(progress) === CLOSED ? undefined : item.dot;
    const key = keys.at(-1);
    const sealed = replies.size > 0 && key ? sealReplies(key, identity, replies) : undefined;
    return {
      change: { item, progress, replies: sealed, dot },
      summary: resealSummary(keys, identity, { summary, like: item.summary }),
      terms,
    };
  }

  private isAbout(entry: EventEntry): entry is Exclude<EventEntry, { m: string }> {
    if (isMessageEntry(entry) || entry.z || entry.t === TELLS_NOTHING) return false;
    if (entry.k.startsWith(`${this.erasure.contactId}/`)) return true;
    if (!entry.t.startsWith('suppression.')) return false;
    const { keys, accountId } = this.owner;
    const { email } = openEventData(keys, accountId, entry);
    const [key] = keys;
    return (
      typeof email === 'string' &&
      key !== undefined &&
      keyedTerm(key, 'recipient', recipientKey(email)) === this.erasure.recipient
    );
  }

  private emptied(entry: Exclude<EventEntry, { m: string }>): EventEntry {
    const { keys, accountId } = this.owner;
    const { id } = openEventData(keys, accountId, entry);
    const d = sealEventData(keys, { accountId, nonce: entry.k }, { id, email: ERASED_ADDRESS, erased: true });
    return { ...entry, d, z: true };
  }
}
