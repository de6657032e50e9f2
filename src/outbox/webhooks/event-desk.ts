/** This shard's events for those who ask: pages, one event, and the wait for the next. */
import type { Ledger } from '../ledger/ledger.ts';
import { type Delivery, FAILED, SUCCESS, type WebhookTable } from '../ledger/webhook-table.ts';
import type { Courier } from './courier.ts';
import { type EventEntry, isMessageEntry, wireTypeOf } from './event-entry.ts';
import { type EventPosition, isAfter, OLDEST } from './event-id.ts';
import type { LoggedEvent } from './event-payload.ts';

/** Rows read for one page: a rare type may take several. */
const ROWS_PER_PAGE = 1000;
const MAX_WAITING = 100;

export interface EventQuery {
  readonly after: EventPosition | 'oldest' | 'latest';
  /** Absent: all of them. */
  readonly types?: readonly string[] | undefined;
  readonly limit: number;
}

export interface EventPage {
  readonly events: readonly LoggedEvent[];
  /** Everything up to here was looked at. */
  readonly position: EventPosition;
  readonly hasMore: boolean;
}

/** An event at a webhook. */
export interface WebhookEvent {
  readonly event: LoggedEvent;
  readonly status: 'success' | 'failed' | 'pending' | 'attempting';
  readonly nextAttemptAtMs?: number;
  /** As `sealAttempts` made them. */
  readonly attempts?: Uint8Array;
}

export class EventDesk {
  private readonly ledger: Ledger;
  private readonly table: WebhookTable;
  private readonly waiting = new Set<() => void>();

  constructor(ledger: Ledger, table: WebhookTable) {
    this.ledger = ledger;
    this.table = table;
  }

  /** Something was logged. */
  announce(): void {
    for (const resolve of this.waiting) resolve();
  }

  read({ after, types, limit }: EventQuery): EventPage {
    const { events: log } = this.ledger;
    // What waits for a row is told all the same.
    log.flush(Date.now());
    const start = after === 'oldest' ? OLDEST : after === 'latest' ? log.head : after;
    const page = log.read(start, Math.min(ROWS_PER_PAGE, Math.max(limit, 100)));
    const wanted = page.entries.filter(({ entry }) => !types || types.includes(wireTypeOf(entry)));
    const shown = wanted.slice(0, limit);
    const isCut = wanted.length > shown.length;
    return {
      events: shown.map((logged) => this.withMessage(logged)),
      position: (isCut && shown.at(-1)) || page.position,
      hasMore: isCut || page.hasMore,
    };
  }

  /** Resolves once there is something after the place, or the time is over. */
  async wait(after: EventPosition, waitMs: number): Promise<void> {
    const { position, entries } = this.ledger.events.read(after, 1);
    if (entries.length > 0 || isAfter(position, after) || this.waiting.size >= MAX_WAITING) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, waitMs);
    this.waiting.add(resolve);
    await promise;
    this.waiting.delete(resolve);
    clearTimeout(timer);
  }

  find(place: EventPosition): EventEntry | undefined {
    return this.ledger.events.find(place);
  }

  /** With the sealed parts of its message, where that is still there. */
  withMessage(logged: EventPosition & { readonly entry: EventEntry }): LoggedEvent {
    const { seq, index, entry } = logged;
    const message = isMessageEntry(entry) ? this.ledger.messages.findPublic(entry.m) : undefined;
    if (!message) return { seq, index, entry };
    const { acceptedAtMs, summary, replies } = message;
    return { seq, index, entry, message: { acceptedAtMs, summary, ...(replies && { replies }) } };
  }

  /** Newest first: those that were attempted, or are to be tried again. */
  listOfWebhook(
    webhookId: string,
    page: { readonly before: EventPosition; readonly limit: number },
    courier: Courier | undefined,
  ): { readonly events: readonly WebhookEvent[]; readonly hasMore: boolean } {
    const deliveries = this.table.list(webhookId, page.before, page.limit + 1);
    const events = deliveries.slice(0, page.limit).flatMap((delivery) => {
      const entry = this.find(delivery);
      return entry ? [this.stateOf(webhookId, { ...delivery, entry }, courier)] : [];
    });
    return { events, hasMore: deliveries.length > page.limit };
  }

  findOfWebhook(
    webhookId: string,
    place: EventPosition,
    courier: Courier | undefined,
  ): WebhookEvent | undefined {
    const entry = this.find(place);
    return entry && this.stateOf(webhookId, { ...place, entry }, courier);
  }

  private stateOf(
    webhookId: string,
    logged: EventPosition & { readonly entry: EventEntry },
    courier: Courier | undefined,
  ): WebhookEvent {
    const delivery = this.table.find(webhookId, logged);
    return {
      event: this.withMessage(logged),
      status: courier?.isInFlight(webhookId, logged) ? 'attempting' : statusOf(delivery),
      ...(delivery?.nextAtMs !== undefined && { nextAttemptAtMs: delivery.nextAtMs }),
      // What an endpoint answered may quote whom it was told of.
      ...(delivery?.attempts && !this.isErased(logged.entry) && { attempts: delivery.attempts }),
    };
  }

  private isErased(entry: EventEntry): boolean {
    return isMessageEntry(entry)
      ? this.ledger.messages.find(entry.m)?.progress.isErased === true
      : entry.z === true;
  }
}

function statusOf(delivery: Delivery | undefined): 'success' | 'failed' | 'pending' {
  if (delivery?.status === SUCCESS) return 'success';
  return delivery?.status === FAILED ? 'failed' : 'pending';
}
