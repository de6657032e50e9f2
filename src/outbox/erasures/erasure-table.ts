/** Erasures that are under way: a row for each, until nothing of the person can be on its way into the ledger any more. */
import type { LedgerDatabase } from '../ledger/database.ts';
import type { Erasure } from './erasure-api.ts';

export interface OpenErasure extends Erasure {
  /** What was made up to then is erased. The address may be given anew after that. */
  readonly untilMs: number;
  /** The contact is gone. Until then it may turn out that it stays. */
  readonly isCertain: boolean;
  /** How far the log was read. */
  readonly logSeq: number;
}

interface Row extends Record<string, SqlStorageValue> {
  contact_id: string;
  recipient: string;
  until_at: number;
  is_certain: number;
  log_seq: number;
}

export class ErasureTable {
  private readonly db: LedgerDatabase;
  /** Asked after each commit of mail, so it is remembered. */
  private nextMs: number | undefined;
  private isKnown = false;

  constructor(db: LedgerDatabase) {
    this.db = db;
  }

  /** One that is there already is counted from now on: mail may have come since. */
  put({ contactId, recipient }: Erasure, { isCertain, untilMs, atMs }: ErasureTimes): void {
    this.isKnown = false;
    this.db.run(
      `INSERT INTO erasures (contact_id, recipient, until_at, is_certain, at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET until_at = excluded.until_at, at = excluded.at,
         is_certain = max(is_certain, excluded.is_certain)`,
      contactId,
      recipient.toString(16),
      untilMs,
      Number(isCertain),
      atMs,
    );
  }

  find(contactId: string): OpenErasure | undefined {
    const row = this.db.first<Row>('SELECT * FROM erasures WHERE contact_id = ?', contactId);
    return row && erasureOf(row);
  }

  nextDue(nowMs: number): OpenErasure | undefined {
    const row = this.db.first<Row>('SELECT * FROM erasures WHERE at <= ? ORDER BY at LIMIT 1', nowMs);
    return row && erasureOf(row);
  }

  /** The time at which the first of them is to be gone on with. */
  get nextAtMs(): number | undefined {
    if (!this.isKnown) {
      this.nextMs =
        this.db.first<{ at: number | null }>('SELECT min(at) AS at FROM erasures')?.at ?? undefined;
      this.isKnown = true;
    }
    return this.nextMs;
  }

  goOnAt(contactId: string, atMs: number): void {
    this.isKnown = false;
    this.db.run('UPDATE erasures SET at = ? WHERE contact_id = ?', atMs, contactId);
  }

  becomeCertain(contactId: string): void {
    this.db.run('UPDATE erasures SET is_certain = 1 WHERE contact_id = ?', contactId);
  }

  saveLogSeq(contactId: string, seq: number): void {
    this.db.run('UPDATE erasures SET log_seq = ? WHERE contact_id = ?', seq, contactId);
  }

  remove(contactId: string): void {
    this.isKnown = false;
    this.db.run('DELETE FROM erasures WHERE contact_id = ?', contactId);
  }
}

interface ErasureTimes {
  readonly isCertain: boolean;
  readonly untilMs: number;
  readonly atMs: number;
}

function erasureOf(row: Row): OpenErasure {
  return {
    contactId: row.contact_id,
    recipient: BigInt(`0x${row.recipient}`),
    untilMs: row.until_at,
    isCertain: row.is_certain === 1,
    logSeq: row.log_seq,
  };
}
