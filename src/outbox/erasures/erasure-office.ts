/**
 * Everything about erasing people in one Outbox. An erasure is planned here before D1 deletes the contact, and carried
 * out once D1 says that the contact is gone: by the caller, and by the alarm where the caller got no further.
 *
 * It is worked through once more after a while, for what was on its way into the ledger meanwhile: a page of a
 * broadcast that was made before, mail at its dot, an event.
 */
import type { Settings } from '../../env.ts';
import { logError } from '../../log.ts';
import { findContact } from '../../store/contacts.ts';
import type { LedgerDatabase } from '../ledger/database.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { SendingStateReader } from '../sending-state.ts';
import { CLAIM_SHARD } from '../shards.ts';
import { Eraser } from './eraser.ts';
import type { Erasure } from './erasure-api.ts';
import { ErasureTable, type OpenErasure } from './erasure-table.ts';

/** What its caller does not carry out by then, the alarm does. */
const CARRIED_OUT_MS = 30_000;
/** A contact that is still there after so long was not deleted. */
const GIVEN_UP_AFTER_MS = 10 * 60_000;
/** What was made before the erasure is in the ledger by then. */
const IN_FLIGHT_MS = 60_000;
const AT_DOT_MS = 2000;
/** Of the caller's request: some thousand messages. */
const SLICES_AT_ONCE = 40;
const SLICES_PER_PASS = 400;

interface ErasureContext {
  readonly database: LedgerDatabase;
  readonly ledger: Ledger;
  readonly settings: Pick<Settings, 'WATCHDOG_MS'>;
  readonly sync: () => Promise<void>;
  /** Called after mail was changed, or the next alarm may be another one. */
  readonly onRest: () => void;
}

export class ErasureOffice {
  readonly table: ErasureTable;
  private readonly context: ErasureContext;
  private owner: { readonly accountId: string; readonly shard: number } | undefined;
  private reader: SendingStateReader | undefined;
  private isPassing = false;
  private retryAtMs = 0;

  constructor(context: ErasureContext) {
    this.context = context;
    this.table = new ErasureTable(context.database);
  }

  /** Once the object knows whose it is. */
  open(owner: { readonly accountId: string; readonly shard: number }, reader: SendingStateReader): void {
    this.owner = owner;
    this.reader = reader;
  }

  async plan(erasure: Erasure): Promise<void> {
    if (!this.hasAnything) return;
    const nowMs = Date.now();
    this.table.put(erasure, { isCertain: false, untilMs: nowMs, atMs: nowMs + CARRIED_OUT_MS });
    await this.context.sync();
  }

  async carryOut(erasure: Erasure): Promise<void> {
    if (!this.hasAnything) return;
    const nowMs = Date.now();
    this.table.put(erasure, { isCertain: true, untilMs: nowMs, atMs: nowMs + CARRIED_OUT_MS });
    const open = this.table.find(erasure.contactId);
    await this.context.sync();
    if (open) await this.workOn(open, SLICES_AT_ONCE);
    this.context.onRest();
  }

  /** There may be work. Returns at once. */
  kick(): void {
    const { nextAtMs } = this.table;
    const nowMs = Date.now();
    if (this.isPassing || nextAtMs === undefined || nowMs < Math.max(nextAtMs, this.retryAtMs)) return;
    void this.pass();
  }

  nextAlarmAt(nowMs: number): number | undefined {
    const { nextAtMs } = this.table;
    if (nextAtMs === undefined) return undefined;
    return this.isPassing
      ? nowMs + this.context.settings.WATCHDOG_MS
      : Math.max(nextAtMs, this.retryAtMs, nowMs);
  }

  /** An object of a shard that never had mail is not to be kept for this. */
  private get hasAnything(): boolean {
    return this.owner !== undefined && this.context.ledger.hasHistory;
  }

  private async pass(): Promise<void> {
    this.isPassing = true;
    try {
      const open = this.table.nextDue(Date.now());
      if (open && (await this.isCertain(open))) await this.workOn(open, SLICES_PER_PASS);
    } catch (error) {
      // D1 is away, as a rule.
      this.retryAtMs = Date.now() + this.context.settings.WATCHDOG_MS;
      logError('erasure_interrupted', error, { account_id: this.owner?.accountId });
    }
    this.isPassing = false;
    this.context.onRest();
  }

  private async isCertain(open: OpenErasure): Promise<boolean> {
    const { contactId, isCertain, untilMs } = open;
    if (isCertain || !this.reader) return isCertain;
    const contact = await findContact(this.reader.scope, { id: contactId });
    if (!contact) {
      this.table.becomeCertain(contactId);
      return true;
    }
    const nowMs = Date.now();
    if (nowMs - untilMs > GIVEN_UP_AFTER_MS) this.table.remove(contactId);
    else this.table.goOnAt(contactId, nowMs + CARRIED_OUT_MS);
    return false;
  }

  /** So many slices, each in a turn of its own. */
  private async workOn(open: OpenErasure, slices: number): Promise<void> {
    const { owner, reader, table } = this;
    const { ledger, sync } = this.context;
    if (!owner || !reader) return;
    const { contactId, untilMs } = open;
    const startedAtMs = Date.now();
    const { keys } = await reader.read();
    if (keys.length === 0) throw new Error('the account has no data key');
    const eraser = new Eraser(ledger, { accountId: owner.accountId, keys }, open);
    let hasMail = true;
    let hasEvents = owner.shard === CLAIM_SHARD;
    let { logSeq } = open;
    for (let slice = 0; slice < slices && (hasMail || hasEvents); slice++) {
      if (hasMail) hasMail = eraser.eraseMail(Date.now());
      else {
        const { seq, isEnd } = eraser.eraseEvents(logSeq, Date.now());
        if (seq > logSeq) table.saveLogSeq(contactId, seq);
        logSeq = seq;
        hasEvents = !isEnd;
      }
      await sync();
    }
    if (hasMail || hasEvents) table.goOnAt(contactId, Date.now());
    else if (eraser.atDot > 0) table.goOnAt(contactId, Date.now() + AT_DOT_MS);
    else if (startedAtMs >= untilMs + IN_FLIGHT_MS) table.remove(contactId);
    else table.goOnAt(contactId, untilMs + IN_FLIGHT_MS);
    await sync();
  }
}
