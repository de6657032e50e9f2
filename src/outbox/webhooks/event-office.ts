/** Everything about events in one Outbox: the log's flush, who waits for it, and the courier. */
import { type Env, settingsOf } from '../../env.ts';
import { newId } from '../../ids.ts';
import { logError } from '../../log.ts';
import { disableWebhook } from '../../store/webhooks.ts';
import type { LedgerDatabase } from '../ledger/database.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { WebhookTable } from '../ledger/webhook-table.ts';
import type { SendingState, SendingStateReader } from '../sending-state.ts';
import { activeWebhooks } from './active-webhooks.ts';
import { Courier, type CourierState } from './courier.ts';
import { EventDesk } from './event-desk.ts';
import type { EventEntry } from './event-entry.ts';
import type { EventPosition } from './event-id.ts';
import { type EventPayload, sealEventData } from './event-payload.ts';
import type { AttemptResult } from './retry-plan.ts';

/** How long an event may wait for others, at most. */
const HOLD_MS = 25;
/** One that has waited so long goes with the next commit: a commit of its own is a sync more. */
const SHARE_AFTER_MS = 15;

export class EventOffice {
  readonly desk: EventDesk;
  private readonly env: Env;
  private readonly ledger: Ledger;
  private readonly table: WebhookTable;
  /** The next alarm may be another one now. */
  private readonly onRest: () => void;
  private announcedSeq = 0;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private heldSinceMs = 0;
  private readonly paused = new Set<string>();
  private owner: { readonly accountId: string; readonly reader: SendingStateReader } | undefined;
  private courierOrNone: Courier | undefined;

  constructor(env: Env, database: LedgerDatabase, ledger: Ledger, onRest: () => void) {
    this.env = env;
    this.ledger = ledger;
    this.table = new WebhookTable(database);
    this.desk = new EventDesk(ledger, this.table);
    this.onRest = onRest;
  }

  /** Absent until the object knows whose it is. */
  get courier(): Courier | undefined {
    return this.courierOrNone;
  }

  open(owner: { readonly accountId: string; readonly shard: number }, reader: SendingStateReader): void {
    const { accountId } = owner;
    this.owner = { accountId, reader };
    let known: { readonly from: SendingState; readonly state: CourierState } | undefined;
    this.courierOrNone = new Courier({
      ...owner,
      log: this.ledger.events,
      table: this.table,
      settings: settingsOf(this.env),
      read: async () => {
        const from = await reader.read();
        if (known?.from !== from) known = { from, state: this.stateOf(accountId, from) };
        return known.state;
      },
      withMessage: (job) => this.desk.withMessage(job),
      disable: (webhookId) => this.disable(reader, webhookId),
      onRest: this.onRest,
    });
  }

  /** Syncs, with the log of what it is about; tells those who wait once that is durable. */
  async sync(storage: DurableObjectStorage): Promise<void> {
    const { events } = this.ledger;
    // In the turn of what it is about: the storage writes both, or neither.
    if (events.mustFlush || this.isHeldLong) this.flushNow();
    else if (events.hasPending) this.flushSoon(storage);
    await storage.sync();
    this.announce();
  }

  private get isHeldLong(): boolean {
    return this.flushTimer !== undefined && Date.now() - this.heldSinceMs >= SHARE_AFTER_MS;
  }

  private flushNow(): void {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    this.ledger.events.flush(Date.now());
  }

  /** What may wait shares a row with what comes meanwhile. */
  private flushSoon(storage: DurableObjectStorage): void {
    if (this.flushTimer !== undefined) return;
    this.heldSinceMs = Date.now();
    this.flushTimer = setTimeout(() => {
      this.flushNow();
      storage.sync().then(
        () => this.announce(),
        (error: unknown) => logError('events_not_synced', error),
      );
    }, HOLD_MS);
  }

  private announce(): void {
    const { head } = this.ledger.events;
    if (head.seq === this.announcedSeq) return;
    this.announcedSeq = head.seq;
    this.desk.announce();
    this.courier?.kick();
    // A restart in the middle of it must be woken.
    this.onRest();
  }

  record(entries: readonly EventEntry[], storage: DurableObjectStorage): Promise<void> {
    this.ledger.events.append(entries);
    return this.sync(storage);
  }

  recordPause(
    relayId: string,
    cause: { reason: string; code: number | null },
    storage: DurableObjectStorage,
  ): void {
    this.paused.add(relayId);
    this.recordRelay('relay.paused', { relay: relayId, ...cause }, storage);
  }

  /** Once for each pause. One from before a restart is not known here, and is not said to be over. */
  recordResumption(relayId: string, storage: DurableObjectStorage): void {
    if (this.paused.delete(relayId)) this.recordRelay('relay.resumed', { relay: relayId }, storage);
  }

  private recordRelay(type: string, data: Record<string, unknown>, storage: DurableObjectStorage): void {
    const { owner } = this;
    if (!owner || owner.reader.keys.length === 0) return;
    const nowMs = Date.now();
    const nonce = newId('event', nowMs);
    const sealed = sealEventData(owner.reader.keys, { accountId: owner.accountId, nonce }, data);
    this.record([{ t: type, a: nowMs, k: nonce, d: sealed }], storage).catch((error: unknown) =>
      logError('event_not_logged', error, { account_id: owner.accountId }),
    );
  }

  /** False where there is no such event. */
  replay(webhookId: string, place: EventPosition): boolean {
    if (!this.courier || !this.desk.find(place)) return false;
    this.courier.replayOne(webhookId, place);
    return true;
  }

  async replaySince(webhookId: string, sinceMs: number): Promise<void> {
    await this.courier?.replaySince(webhookId, sinceMs);
  }

  async test(webhookId: string, payload: EventPayload): Promise<AttemptResult | undefined> {
    return this.courier?.test(webhookId, payload);
  }

  private stateOf(accountId: string, { keys, webhooks }: SendingState): CourierState {
    const allowPrivate = settingsOf(this.env).ALLOW_PRIVATE_WEBHOOKS;
    return { keys, webhooks: activeWebhooks(accountId, webhooks, { keys, allowPrivate }) };
  }

  private async disable(reader: SendingStateReader, webhookId: string): Promise<void> {
    try {
      const record = (await reader.read()).webhooks.find(({ id }) => id === webhookId);
      if (!record) return;
      const webhook = { id: webhookId, endpoint: record.endpoint, reason: 'gone' };
      const audit = {
        actor: 'outbox',
        action: 'webhook.disabled',
        target: webhookId,
        details: { code: 410 },
      };
      await disableWebhook(reader.scope, webhook, audit);
      reader.forget();
    } catch (error) {
      // The next answer of this kind tries it again.
      logError('webhook_not_disabled', error);
    }
  }
}
