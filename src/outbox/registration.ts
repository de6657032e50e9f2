/**
 * The object's row in D1, by which the sweep finds it when its alarm was lost. Written after the first
 * accept without holding up the answer, and tried again by the alarm until it worked.
 */
import type { Env } from '../env.ts';
import { logError } from '../log.ts';
import { registerOutbox } from '../store/outboxes.ts';
import type { LedgerDatabase } from './ledger/database.ts';
import { SendingStateReader } from './sending-state.ts';

export class Registration {
  private readonly env: Env;
  private readonly database: LedgerDatabase;
  private isDone: boolean;
  private isUnderWay = false;

  constructor(env: Env, database: LedgerDatabase) {
    this.env = env;
    this.database = database;
    this.isDone = database.readMeta('registered') !== undefined;
  }

  /** Once the object knows whose it is. Returns at once. */
  ensure(): void {
    if (!this.isDone && !this.isUnderWay) void this.register();
  }

  private async register(): Promise<void> {
    const accountId = this.database.readMeta('account_id');
    if (accountId === undefined) return;
    this.isUnderWay = true;
    try {
      // An object from before shards is the first one.
      const shard = Number(this.database.readMeta('shard') ?? '0');
      await registerOutbox(new SendingStateReader(this.env, accountId).scope, shard, Date.now());
      this.database.writeMeta('registered', '1');
      this.isDone = true;
    } catch (error) {
      logError('outbox_not_registered', error, { account_id: accountId });
    } finally {
      this.isUnderWay = false;
    }
  }
}
