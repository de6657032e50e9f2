/** Everything about broadcasts in one Outbox: in shard 0 their runs, in each shard its part of them. */
import type { Env, Settings } from '../../env.ts';
import type { Acceptance } from '../acceptance.ts';
import { outboxOf } from '../client.ts';
import { broadcastPartDeskOf } from '../desks.ts';
import type { OutboxJobs } from '../jobs.ts';
import type { LedgerDatabase } from '../ledger/database.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { DAY_MS } from '../ledger/partitions.ts';
import type { SendingStateReader } from '../sending-state.ts';
import { CLAIM_SHARD } from '../shards.ts';
import type { BroadcastOutcome, BroadcastRun } from './broadcast-api.ts';
import { BroadcastPart } from './broadcast-part.ts';
import { BroadcastRunner } from './broadcast-runner.ts';
import { BroadcastStopper } from './broadcast-stopper.ts';
import type { BroadcastPartApi } from './part-api.ts';
import { runOf, sumOf } from './run-shown.ts';
import { RunTable, type StoredRun } from './run-table.ts';

/** From the end of a run on. Small rows; those of a shard tell that a page was accepted, long after its messages are gone. */
const KEPT_DAYS = 365;
/** From the last change in a shard on, whose part must outlive a run that was paused for long. */
const PART_KEPT_DAYS = 2 * KEPT_DAYS;

export interface BroadcastOfficeContext {
  readonly database: LedgerDatabase;
  readonly ledger: Ledger;
  readonly settings: Settings;
  readonly acceptance: Acceptance;
  readonly sync: () => Promise<void>;
  /** The next alarm may be another one now. */
  readonly onRest: () => void;
}

export class BroadcastOffice {
  readonly part: BroadcastPart;
  private readonly context: BroadcastOfficeContext;
  private readonly table: RunTable;
  private runner: BroadcastRunner | undefined;
  private stopper: BroadcastStopper | undefined;
  private partOf: (shard: number) => BroadcastPartApi;

  constructor(context: BroadcastOfficeContext) {
    this.context = context;
    this.table = new RunTable(context.database);
    const { ledger, settings, sync } = context;
    this.part = new BroadcastPart({ ledger, settings, sync, onStop: () => this.stopper?.kick() });
    this.partOf = () => this.part;
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
    const { ledger, settings, acceptance, sync, onRest } = this.context;
    this.partOf = (shard) => (shard === CLAIM_SHARD ? this.part : broadcastPartDeskOf(env, accountId, shard));
    this.runner = new BroadcastRunner({
      accountId,
      table: this.table,
      retryMs: settings.WATCHDOG_MS,
      jobs: () => jobs().broadcasts,
      jobOf: (broadcastId) => ({ env, scope: reader.scope, broadcastId }),
      partOf: (shard) => this.partOf(shard),
      accept: (shard, request) =>
        shard === CLAIM_SHARD ? acceptance.accept(request) : outboxOf(env, accountId, shard).accept(request),
      sync,
      onRest,
    });
    this.stopper = new BroadcastStopper({ accountId, ledger, sync, onRest });
  }

  async start({ id, scheduledAtMs }: { readonly id: string; readonly scheduledAtMs?: number }) {
    const run = this.table.find(id) ?? this.table.insert(id, scheduledAtMs);
    this.kick();
    // In the same turn: what is on disk has its alarm, or neither is there.
    this.context.onRest();
    return this.answered(run);
  }

  async pause(id: string): Promise<BroadcastOutcome> {
    return this.move(id, ({ status }) => {
      if (status === 'paused') return {};
      return status === 'queued' || status === 'sending' ? { status: 'paused' } : undefined;
    });
  }

  async resume(id: string): Promise<BroadcastOutcome> {
    this.runner?.refresh();
    return this.move(id, ({ status, startedAtMs }) => {
      if (status === 'queued' || status === 'sending') return {};
      if (status !== 'paused') return undefined;
      return { status: startedAtMs === undefined ? 'queued' : 'sending' };
    });
  }

  async cancel(id: string): Promise<BroadcastOutcome | 'draft_again'> {
    const run = this.table.find(id);
    if (run && run.startedAtMs === undefined) {
      this.table.drop(id);
      await this.context.sync();
      return 'draft_again';
    }
    const outcome = await this.move(id, ({ status, shards }) => {
      if (status === 'canceled') return {};
      if (status !== 'sending' && status !== 'paused') return undefined;
      const unstopped = Array.from({ length: shards }, (_, shard) => shard);
      return { status: 'canceled', plan: undefined, finishedAtMs: Date.now(), unstopped };
    });
    if (typeof outcome === 'string') return outcome;
    await this.runner?.stop(id);
    const canceled = this.table.find(id);
    return canceled ? { run: await this.answered(canceled) } : 'not_found';
  }

  async find(ids: readonly string[]): Promise<readonly BroadcastRun[]> {
    return this.shown(ids.flatMap((id) => this.table.find(id) ?? []));
  }

  kick(): void {
    this.runner?.kick();
    this.stopper?.kick();
  }

  /** After a commit: the pump may have made room. */
  noteProgress(): void {
    this.runner?.noteProgress();
  }

  refresh(): void {
    this.runner?.refresh();
  }

  sweep(nowMs: number): void {
    if (this.isEmpty) return;
    const { METADATA_RETENTION_DAYS } = this.context.settings;
    const before = (keptDays: number) => nowMs - Math.max(keptDays, METADATA_RETENTION_DAYS) * DAY_MS;
    this.table.sweep(before(KEPT_DAYS));
    this.context.ledger.parts.sweep(before(PART_KEPT_DAYS));
  }

  /** When the object has to be woken for them. */
  nextAlarmAt(nowMs: number): number | undefined {
    const { runner, stopper } = this;
    const watchdogAtMs = nowMs + this.context.settings.WATCHDOG_MS;
    const times = [
      runner?.isRunning ? watchdogAtMs : runner?.nextAtMs,
      stopper?.hasWork ? watchdogAtMs : undefined,
    ].filter((atMs) => atMs !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  private get isEmpty(): boolean {
    return this.table.isEmpty && this.context.ledger.parts.isEmpty;
  }

  private async move(
    id: string,
    to: (run: StoredRun) => Partial<StoredRun> | undefined,
  ): Promise<BroadcastOutcome> {
    const run = this.table.find(id);
    if (!run) return 'not_found';
    const change = to(run);
    if (!change) return 'conflict';
    const changed = Object.keys(change).length > 0 ? this.table.change(id, () => change) : run;
    this.kick();
    this.context.onRest();
    return { run: await this.answered(changed ?? run) };
  }

  private async answered(run: StoredRun): Promise<BroadcastRun> {
    await this.context.sync();
    const [shown] = await this.shown([run]);
    if (!shown) throw new Error('a broadcast is missing');
    return shown;
  }

  /** With the sums over all shards. One that does not answer fails the whole: less than all would be wrong. */
  private async shown(runs: readonly StoredRun[]): Promise<readonly BroadcastRun[]> {
    const shards = Math.max(0, ...runs.map((run) => run.shards));
    const ids = runs.map(({ id }) => id);
    const parts = await Promise.all(
      Array.from({ length: shards }, (_, shard) => this.partOf(shard).read(ids)),
    );
    return runs.map((run, index) =>
      runOf(run, sumOf(parts.flatMap((part) => part[index] ?? [])), this.runner?.hindranceOf(run.id)),
    );
  }
}
