/**
 * Broadcasts over real ledgers and real acceptance, with a list that is only a set, and a process that can be killed
 * at any of its awaits. What was written and not synced is then lost, or not.
 */
import type { DeliveryState } from '../../src/delivery/progress.ts';
import { advance } from '../../src/delivery/progress.ts';
import { type Env, settingsOf } from '../../src/env.ts';
import { newId, newMessageId } from '../../src/ids.ts';
import { Acceptance } from '../../src/outbox/acceptance.ts';
import type { BroadcastRefusal } from '../../src/outbox/broadcasts/broadcast-api.ts';
import { BroadcastOffice } from '../../src/outbox/broadcasts/broadcast-office.ts';
import type { AcceptResult } from '../../src/outbox/client.ts';
import { LedgerDatabase } from '../../src/outbox/ledger/database.ts';
import { Ledger } from '../../src/outbox/ledger/ledger.ts';
import type { LedgerItem } from '../../src/outbox/ledger/message-row.ts';
import type { SendingStateReader } from '../../src/outbox/sending-state.ts';
import type { Quota } from '../../src/outbox/usage.ts';
import { TEST_SETTINGS } from '../support/test-settings.ts';
import { type Network, type Reachable, stubOf } from './broadcast-network.ts';
import { type ListOfWorld, servicesOf } from './broadcast-services.ts';
import { losingStorage } from './sqlite-storage.ts';

const ACCOUNT = 'acc_00000000000000000000000000';
const OTHER_MAIL = 'other';
const text = new TextDecoder();

export interface WorldOptions {
  readonly shards?: number;
  /** How many messages may wait in a shard; pages are no larger. */
  readonly waiting?: number;
  readonly backlog?: number;
}

/** One object of the account, as long as its process lives. */
interface Shard extends Reachable {
  readonly ledger: Ledger;
}

class Killed extends Error {}

export class BroadcastWorld implements ListOfWorld, Network {
  readonly members = new Set<string>();
  refusal: BroadcastRefusal | undefined;
  quota: Quota | undefined;
  largestPage = Number.POSITIVE_INFINITY;
  readonly unreachable = new Set<number>();
  onTheWay: Promise<void> | undefined;
  lostUntil: Promise<void> | undefined;
  readonly late: Promise<AcceptResult>[] = [];
  /** Called before each statement; may throw. */
  onStatement: (statement: string) => void = () => {};
  shardCount: number;
  /** Counts the awaits of the process; it is killed at this one. */
  killAt = Number.POSITIVE_INFINITY;
  steps = 0;
  isKilled = false;
  /** Called at each await. */
  onStep: (step: string) => void = () => {};
  /** Called when the process has begun anew. */
  onRestart: () => void = () => {};
  /** Messages that reached their end at an upstream server. */
  sent = 0;
  /** What shard 0 asked to be woken for when it last looked. */
  alarmAtMs: number | undefined;
  readonly log: string[] = [];
  private readonly disks;
  private readonly env: Env;
  private shards: Shard[] = [];
  private life = 0;

  constructor({ shards = 1, waiting = 4, backlog = 1000 }: WorldOptions = {}) {
    this.shardCount = shards;
    this.disks = Array.from({ length: shards }, () => losingStorage());
    const objects = {
      getByName: (name: string) => this.objectNamed(name),
    };
    this.env = {
      ...TEST_SETTINGS,
      BROADCAST_WAITING: String(waiting),
      BACKLOG_LIMIT: String(backlog),
      WATCHDOG_MS: '5',
      OUTBOX: objects,
    } as unknown as Env;
    this.start();
  }

  get office(): BroadcastOffice {
    return this.shard(0).office;
  }

  shard(index: number): Shard {
    const shard = this.shards[index];
    if (!shard) throw new Error('there is no such shard');
    return shard;
  }

  /** The process ends; all that was not synced is lost, or all of it happens to be written. */
  restart({ loses = true } = {}): void {
    this.isKilled = false;
    if (loses) for (const disk of this.disks) disk.lose();
    this.start();
    this.onRestart();
  }

  join(count: number): string[] {
    const ids = Array.from({ length: count }, () => newId('contact'));
    for (const id of ids) this.members.add(id);
    return ids;
  }

  /** Sends up to so many messages of each shard, and says with what end. */
  send(limit = Number.POSITIVE_INFINITY, status: DeliveryState['status'] = 'delivered'): void {
    for (const { ledger, office } of this.shards) {
      for (let sent = 0; sent < limit; sent++) {
        const item = ledger.queue.take(Date.now());
        if (!item) break;
        // As the pump does it.
        if (ledger.parts.isStopping(item.progress.broadcastId)) ledger.cancel(item.id, Date.now());
        else if (end(ledger, item, status)) this.sent++;
      }
      office.noteProgress();
    }
  }

  /** Goes on sending, and waking the objects, until it is so. A kill on the way is answered by a restart. */
  async until(
    isSo: () => boolean | Promise<boolean>,
    { sends = true, loses = true }: { readonly sends?: boolean; readonly loses?: boolean } = {},
  ): Promise<void> {
    for (let turn = 0; turn < 3000; turn++) {
      if (this.isKilled) this.restart({ loses });
      if (await isSo()) return;
      if (sends) this.send();
      for (const { office } of this.shards) office.kick();
      await new Promise((resolve) => setTimeout(resolve, turn < 50 ? 0 : 2));
    }
    throw new Error(`it did not come about: ${this.log.slice(-20).join(' ')}`);
  }

  /** The same with no kill any more: what follows may look around. */
  async untilAlive(isSo: () => Promise<boolean>, { loses = true } = {}): Promise<void> {
    this.killAt = Number.POSITIVE_INFINITY;
    await this.until(isSo, { loses });
  }

  async statusOf(id: string): Promise<string | undefined> {
    return (await this.office.find([id]))[0]?.status;
  }

  /** The contacts of all messages of broadcasts, once for each. */
  mailed(): string[] {
    return this.shards.flatMap(({ ledger }) =>
      ledger
        .list({ limit: 10_000 }, Date.now())
        .messages.map(({ summary }) => text.decode(summary))
        .filter((contact) => contact !== OTHER_MAIL),
    );
  }

  /** Mail of no broadcast, in one shard. */
  async acceptOther(index: number, count: number): Promise<void> {
    const message = () => ({
      id: newMessageId(index),
      recipientCount: 1,
      summary: new TextEncoder().encode(OTHER_MAIL),
      head: [new Uint8Array(8)],
      attachments: [],
    });
    const messages = Array.from({ length: count }, message);
    const request = { accountId: ACCOUNT, keyId: 'key_x', messages, shards: this.shardCount };
    const { outcome } = await this.shard(index).acceptance.accept(request);
    if (outcome !== 'accepted') throw new Error(outcome);
  }

  private start(): void {
    const life = ++this.life;
    this.shards = this.disks.map(({ storage }, index) => this.objectOn(storage, { index, life }));
    for (const { office } of this.shards) office.kick();
  }

  private objectOn(
    disk: DurableObjectStorage,
    { index, life }: { readonly index: number; readonly life: number },
  ): Shard {
    const storage = this.storageOf(disk, life);
    const database = new LedgerDatabase(storage);
    const ledger = new Ledger(database);
    const sync = async () => {
      await this.step('sync', life);
      ledger.events.flush(Date.now());
      await storage.sync();
      await this.step('synced', life);
    };
    const acceptance = new Acceptance({
      env: this.env,
      storage,
      database,
      ledger,
      sync,
      belongTo: () => {},
      onAccepted: () => {},
    });
    const settings = settingsOf(this.env);
    const onRest = () => {
      if (index === 0) this.alarmAtMs = office.nextAlarmAt(Date.now());
    };
    const office: BroadcastOffice = new BroadcastOffice({
      database,
      ledger,
      settings,
      acceptance,
      sync,
      onRest,
    });
    const jobs = {
      importSlice: () => Promise.reject(new Error('none')),
      broadcasts: servicesOf(this, (step, work) => this.call(step, life, work)),
    };
    office.open({ accountId: ACCOUNT, env: this.env, jobs: () => jobs }, {} as SendingStateReader);
    return { ledger, acceptance, office };
  }

  /** Nothing is read or written any more by a process that ended. */
  private storageOf(disk: DurableObjectStorage, life: number): DurableObjectStorage {
    const nothing = { toArray: () => [], rowsWritten: 0 };
    const exec = (...given: Parameters<SqlStorage['exec']>) => {
      if (life !== this.life || this.isKilled) return nothing;
      this.onStatement(given[0]);
      return disk.sql.exec(...given);
    };
    return {
      sql: { exec },
      transactionSync: <T>(work: () => T) =>
        life === this.life && !this.isKilled ? disk.transactionSync(work) : work(),
      sync: async () => {
        if (life === this.life && !this.isKilled) await disk.sync();
      },
    } as unknown as DurableObjectStorage;
  }

  private objectNamed(name: string) {
    const number = Number(name.split('/')[1]);
    const { life } = this;
    return stubOf(this, { ...this.shard(number), number }, (step, work) => this.call(step, life, work));
  }

  private async call<T>(step: string, life: number, work: () => Promise<T>): Promise<T> {
    await this.step(step, life);
    const result = await work();
    await this.step(`${step} answered`, life);
    return result;
  }

  /** The process may end here, before anything after it happens. */
  private async step(step: string, life: number): Promise<void> {
    if (life !== this.life || this.isKilled) throw new Killed();
    this.log.push(step);
    this.steps++;
    this.onStep(step);
    if (this.steps === this.killAt) {
      this.isKilled = true;
      throw new Killed();
    }
    await Promise.resolve();
  }
}

function end(ledger: Ledger, item: LedgerItem, status: DeliveryState['status']): boolean {
  const at = (now: DeliveryState['status'], from: LedgerItem) =>
    advance(from.progress, new Map([[0, { status: now, attempts: 1, updatedAtMs: 1 }]]), []);
  const dot = { relayId: 'rly_x', recipients: [0], sha256: 'h', pending: true };
  const [atDot] = ledger.commit([{ item, progress: at('sending', item), replies: undefined, dot }]);
  if (!atDot?.dot?.pending) return false;
  ledger.commit([{ item: atDot, progress: at(status, atDot), replies: undefined, dot: undefined }]);
  return true;
}
