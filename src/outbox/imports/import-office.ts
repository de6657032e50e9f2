/** Everything about imports in one Outbox: what lies there, and who works through it. */
import type { Env, Settings } from '../../env.ts';
import type { OutboxJobs } from '../jobs.ts';
import type { LedgerDatabase } from '../ledger/database.ts';
import { DAY_MS } from '../ledger/partitions.ts';
import type { SendingStateReader } from '../sending-state.ts';
import type { ImportToStart } from './import-api.ts';
import { ImportTable } from './import-table.ts';
import { Importer } from './importer.ts';

export class ImportOffice {
  readonly table: ImportTable;
  private readonly settings: Settings;
  /** The next alarm may be another one now. */
  private readonly onRest: () => void;
  private importer: Importer | undefined;

  constructor(database: LedgerDatabase, settings: Settings, onRest: () => void) {
    this.table = new ImportTable(database);
    this.settings = settings;
    this.onRest = onRest;
  }

  /** Once the object knows whose it is. */
  open(
    {
      accountId,
      env,
      jobs,
    }: { readonly accountId: string; readonly env: Env; readonly jobs: () => OutboxJobs },
    reader: SendingStateReader,
  ): void {
    this.importer = new Importer({
      accountId,
      table: this.table,
      retryMs: this.settings.WATCHDOG_MS,
      read: () => reader.read(),
      write: (slice) => jobs().importSlice({ env, scope: reader.scope }, slice),
      onRest: this.onRest,
    });
  }

  start(given: ImportToStart): 'started' | 'lost' {
    const result = this.table.start(given, Date.now());
    // It need not wait for another one that rests.
    this.importer?.refresh();
    this.importer?.kick();
    this.onRest();
    return result;
  }

  kick(): void {
    this.importer?.kick();
  }

  refresh(): void {
    this.importer?.refresh();
  }

  sweep(nowMs: number, metadataDays: number): void {
    if (this.table.overview.isEmpty) return;
    this.table.sweep(nowMs - this.settings.STAGING_KEPT_MS, nowMs - metadataDays * DAY_MS);
  }

  /** When the object has to be woken for them. */
  nextAlarmAt(nowMs: number): number | undefined {
    const { importer, settings } = this;
    const { oldestUploadMs, isEmpty } = this.table.overview;
    const times = [
      importer?.isRunning ? nowMs + settings.WATCHDOG_MS : importer?.nextAtMs,
      oldestUploadMs === undefined ? undefined : oldestUploadMs + settings.STAGING_KEPT_MS,
      isEmpty ? undefined : nowMs + DAY_MS,
    ].filter((atMs) => atMs !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }
}
