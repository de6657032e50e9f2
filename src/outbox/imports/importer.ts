/**
 * Works through the imports of this account, the oldest first, one slice after the other; one whose slice fails lets
 * the others go first. It is kicked when a file is complete and by the alarm, and runs beside the pump, never inside of
 * `alarm()`; between slices others have a turn.
 *
 * What a slice did is decided by D1, and then noted here. Whatever happens in between, the slice is written again,
 * which changes nothing and counts the same.
 */
import { releaseBytes } from '../../crypto/release-bytes.ts';
import type { SealingKey } from '../../crypto/seal.ts';
import { logError } from '../../log.ts';
import { PIECE_BYTES } from '../message-content.ts';
import type { ImportSlice, SliceOutcome } from './import-api.ts';
import { MAX_REFUSALS, openImportOptions, openImportPiece, sealRefusals } from './import-content.ts';
import { type ImportTable, isTooOld, type OpenImport } from './import-table.ts';

/** More than the longest record that is accepted. */
const WINDOW_BYTES = 256 * 1024;
/** One alarm's part of the work: each has its own allowance of calls to D1. Mail for its contacts costs as many again. */
const SLICES_PER_PASS = 100;
const MAILING_SLICES_PER_PASS = 20;
const LONGEST_WAIT_MS = 60 * 60 * 1000;
/** An import that cannot be written for so long has failed. */
const GIVEN_UP_AFTER_MS = 7 * 24 * 60 * 60 * 1000;

export interface ImporterContext {
  readonly accountId: string;
  readonly table: ImportTable;
  readonly retryMs: number;
  /** Throws where D1 does. */
  readonly read: () => Promise<{ readonly active: boolean; readonly keys: readonly SealingKey[] }>;
  readonly write: (slice: ImportSlice) => Promise<SliceOutcome>;
  readonly onRest: () => void;
}

export class Importer {
  private readonly context: ImporterContext;
  private isPassing = false;
  private failures = 0;
  private retryAtMs: number | undefined;
  /** The import whose next slice is surely new. Not known of the first one after a restart. */
  private freshId: string | undefined;
  /** The number of the import whose slice failed last: those after it have their turn first. */
  private failedNumber = 0;
  private opened: { readonly id: string; readonly index: number; readonly bytes: Uint8Array } | undefined;

  constructor(context: ImporterContext) {
    this.context = context;
  }

  get isRunning(): boolean {
    return this.isPassing;
  }

  /** When there is something to do again, while nothing is under way. */
  get nextAtMs(): number | undefined {
    return this.context.table.overview.hasOpen ? (this.retryAtMs ?? Date.now()) : undefined;
  }

  /** There may be work. Returns at once. */
  kick(): void {
    if (this.isPassing || Date.now() < (this.retryAtMs ?? 0) || !this.context.table.overview.hasOpen) return;
    void this.pass();
  }

  /** Something in D1 changed: what was waited for may be over. */
  refresh(): void {
    this.retryAtMs = undefined;
  }

  private async pass(): Promise<void> {
    this.isPassing = true;
    this.retryAtMs = undefined;
    let open: OpenImport | undefined;
    let isStepping = false;
    try {
      for (let slices = 0, limit = SLICES_PER_PASS; slices < limit; slices++) {
        const { active, keys } = await this.context.read();
        open = this.context.table.nextOpen(this.failedNumber);
        if (!open) break;
        if (open.progress.confirmations) limit = MAILING_SLICES_PER_PASS;
        if (!active) {
          this.rest(open);
          break;
        }
        isStepping = true;
        await this.step(open, keys);
        isStepping = false;
        this.failures = 0;
      }
    } catch (error) {
      // D1 is away, as a rule.
      logError('import_interrupted', error, { account_id: this.context.accountId });
      this.freshId = undefined;
      if (open && isStepping) this.failedNumber = open.number;
      if (open) this.rest(open);
      else this.retryAtMs = Date.now() + this.context.retryMs;
    }
    this.forgetPiece();
    this.isPassing = false;
    this.context.onRest();
  }

  private rest(open: OpenImport): void {
    const nowMs = Date.now();
    const waitMs = Math.min(this.context.retryMs * 2 ** Math.min(this.failures, 20), LONGEST_WAIT_MS);
    this.retryAtMs = nowMs + waitMs;
    this.failures++;
    if (isTooOld(open, nowMs, GIVEN_UP_AFTER_MS)) this.context.table.fail(open, nowMs);
  }

  private async step(open: OpenImport, keys: readonly SealingKey[]): Promise<void> {
    const { accountId, table, write } = this.context;
    const identity = { accountId, id: open.id };
    const { position, kept } = open.progress;
    const bytes = this.readFrom(open, keys, position.byte);
    const isLast = position.byte + bytes.byteLength >= open.sizeBytes;
    const outcome = await write({
      importId: open.id,
      options: openImportOptions(keys, identity, open.options),
      position,
      bytes,
      isLast,
      mayBeRepeated: this.freshId !== open.id,
    });
    const refused = outcome.refusals.slice(0, MAX_REFUSALS - kept);
    const first = refused[0];
    const refusals = first && {
      line: first.line,
      count: refused.length,
      refusals: sealRefusals(keys, identity, first.line, refused),
    };
    const isDone = outcome.position.byte >= open.sizeBytes;
    // A slice that gets nowhere would be repeated for ever.
    if (!isDone && outcome.position.byte <= position.byte) throw new Error('an import made no progress');
    table.record(open, { ...outcome, refusals, isLast: isDone }, Date.now());
    this.freshId = open.id;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** As many bytes as the longest record needs, or all that are left. */
  private readFrom(open: OpenImport, keys: readonly SealingKey[], byte: number): Uint8Array {
    const index = Math.floor(byte / PIECE_BYTES);
    const start = byte - index * PIECE_BYTES;
    const length = Math.min(WINDOW_BYTES, open.sizeBytes - byte);
    if (length <= 0) return new Uint8Array();
    const head = this.piece(open, keys, index).subarray(start, start + length);
    const { byteLength } = head;
    if (byteLength === length) return head;
    const whole = new Uint8Array(length);
    // Before the other piece is opened: the memory of this one is given back then.
    whole.set(head);
    whole.set(this.piece(open, keys, index + 1).subarray(0, length - byteLength), byteLength);
    return whole;
  }

  /** The last one stays open: it is asked for many times. */
  private piece(open: OpenImport, keys: readonly SealingKey[], index: number): Uint8Array {
    const { accountId, table } = this.context;
    if (this.opened?.id === open.id && this.opened.index === index) return this.opened.bytes;
    this.forgetPiece();
    const sealed = table.readPiece(open.number, index);
    if (!sealed) throw new Error('a piece of an import is missing');
    const bytes = openImportPiece(keys, { accountId, id: open.id }, index, sealed);
    releaseBytes(sealed);
    this.opened = { id: open.id, index, bytes };
    return bytes;
  }

  private forgetPiece(): void {
    if (this.opened) releaseBytes(this.opened.bytes);
    this.opened = undefined;
  }
}
