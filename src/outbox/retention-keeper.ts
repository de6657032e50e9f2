/**
 * What the object's account keeps, and the sweeps that follow from it. It is told with what is read from D1, and
 * remembered on the ledger: a sweep needs nobody, and goes by what was last said.
 */
import type { Settings } from '../env.ts';
import { logError } from '../log.ts';
import type { LedgerDatabase } from './ledger/database.ts';
import type { Ledger } from './ledger/ledger.ts';
import { type Retention, retentionInForce } from './retention.ts';

const SWEEP_EVERY_MS = 60 * 60 * 1000;
const REMEMBERED = 'retention';

export type KeeperSettings = Pick<
  Settings,
  'BODY_RETENTION_DAYS' | 'METADATA_RETENTION_DAYS' | 'IDEMPOTENCY_DAYS'
>;

export class RetentionKeeper {
  private readonly database: LedgerDatabase;
  private readonly ledger: Ledger;
  private readonly settings: KeeperSettings;
  private remembered: string | undefined;
  private inForce: Retention;
  private sweepAtMs = 0;

  constructor(database: LedgerDatabase, ledger: Ledger, settings: KeeperSettings) {
    this.database = database;
    this.ledger = ledger;
    this.settings = settings;
    this.remembered = database.readMeta(REMEMBERED);
    // The settings may have become stricter since.
    this.inForce = retentionInForce(settings, this.remembered ? JSON.parse(this.remembered) : undefined);
    ledger.keepContent(this.inForce.bodyDays > 0);
  }

  get metadataDays(): number {
    return this.inForce.metadataDays;
  }

  /** As it was read just now. A change sweeps at once, and is remembered after that: a crash in between repeats it. */
  learn(retention: Retention): void {
    const text = JSON.stringify(retention);
    if (text === this.remembered) return;
    try {
      const nowMs = Date.now();
      this.inForce = retention;
      this.ledger.keepContent(retention.bodyDays > 0);
      if (retention.bodyDays === 0) this.ledger.dropEndedContent(nowMs);
      this.sweepNow(nowMs);
      this.database.writeMeta(REMEMBERED, text);
      this.remembered = text;
    } catch (error) {
      // Whoever reads next tries it again; mail need not wait for that.
      logError('retention_not_changed', error);
    }
  }

  sweep(nowMs: number): void {
    if (nowMs >= this.sweepAtMs) this.sweepNow(nowMs);
  }

  private sweepNow(nowMs: number): void {
    this.sweepAtMs = nowMs + SWEEP_EVERY_MS;
    const { bodyDays: bodies, metadataDays: metadata } = this.inForce;
    this.ledger.sweep(nowMs, { bodies, metadata, claims: this.settings.IDEMPOTENCY_DAYS });
  }
}
