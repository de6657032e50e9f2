/**
 * Keeps an account's quotas, exactly, over all its shards. Each shard counts the recipients that it accepts, in the
 * commit that writes them. With one shard that is all. With several, shard 0 is the lead: the others have parts of
 * the quota from it, and it takes back what is not used before it says that nothing is left.
 *
 * - A request is refused only after the lead, having heard every shard, had too little left.
 * - What was given to a request that waits for it is held for that request; it is not taken back from under it.
 * - Repetitions and refused requests are never counted, because only what was written is.
 */
import { QuotaGrants, type QuotaPart } from './quota-grants.ts';
import { PERIODS, type Period, type Quota, Usage, type UsageState } from './usage.ts';

const LEAD = 0;
const USAGE = 'usage';
const GRANTS = 'quota_grants';
/** Without a quota the count is for show, and may lose as much in a restart. */
const UNSAVED_LIMIT = 64;

export interface LeaseRequest {
  readonly shard: number;
  readonly shards: number;
  readonly wanted: number;
  readonly quota: Quota;
  /** The periods by the shard's clock. */
  readonly numbers: Room;
}

type Room = { readonly [period in Period]: number };

export interface LeaseAnswer {
  readonly part: QuotaPart;
  /** What the lead could have given besides. */
  readonly left: Room;
}

export interface QuotaSurroundings {
  readonly readMeta: (name: string) => string | undefined;
  readonly writeMeta: (name: string, value: string) => void;
  readonly sync: () => Promise<void>;
  /** Asks shard 0. */
  readonly askLead: (request: LeaseRequest) => Promise<LeaseAnswer>;
  /** Has another shard give up what it does not need of its part, which is told with it. */
  readonly trim: (shard: number, part: QuotaPart) => Promise<UsageState>;
  readonly now: () => number;
}

/** What a request asks of the quota. Known by identity while it is under way. */
export interface QuotaDemand {
  readonly shard: number;
  readonly shards: number;
  readonly recipients: number;
  readonly quota: Quota;
}

interface Waiting {
  readonly demand: QuotaDemand;
  readonly resolve: (exceeded: Period | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class QuotaKeeper {
  private readonly around: QuotaSurroundings;
  private readonly usage: Usage;
  private readonly grants: QuotaGrants;
  private readonly held = new Set<QuotaDemand>();
  private waiting: Waiting[] = [];
  private isAsking = false;
  private unsaved = 0;
  private mustSave = false;
  /** Counts what makes an answer of the lead void that is under way. */
  private trims = 0;
  /** The lead serves one shard after the other. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(around: QuotaSurroundings) {
    this.around = around;
    this.usage = new Usage(around.readMeta(USAGE));
    this.grants = new QuotaGrants(around.readMeta(GRANTS));
  }

  state(): UsageState {
    const before = this.usage.numbers;
    const state = this.usage.at(this.around.now());
    // What is held was given in a period that is over.
    if (before !== this.usage.numbers) this.held.clear();
    this.grants.reach(state);
    return state;
  }

  /** Whether it fits, as far as this object can tell by itself. */
  fits(demand: QuotaDemand): boolean {
    this.state();
    if (this.held.has(demand)) return true;
    if (demand.shard === LEAD && this.grants.unknown(demand.shards).length > 0) return false;
    return lacking(demand, this.room(demand)) === undefined;
  }

  /** After it did not fit: the period whose quota is used up; undefined where there is room for it now. */
  ask(demand: QuotaDemand): Promise<Period | undefined> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ demand, resolve, reject });
      if (!this.isAsking) void this.askUntilServed();
    });
  }

  /** In the turn that writes the messages. */
  count(recipients: number, demand: QuotaDemand | undefined): void {
    this.state();
    if (demand) this.held.delete(demand);
    this.usage.count(recipients);
    this.unsaved += recipients;
    if (demand || this.unsaved >= UNSAVED_LIMIT) this.mustSave = true;
  }

  /** The request is over, whatever became of it. */
  release(demand: QuotaDemand): void {
    this.held.delete(demand);
  }

  /** In the same turn as `count`, once for all that share a commit. */
  save(): void {
    if (!this.mustSave) return;
    this.around.writeMeta(USAGE, this.usage.toText());
    this.mustSave = false;
    this.unsaved = 0;
  }

  /** In the lead: a shard wants more. What it said of itself may be old by now; the lead's own books are not. */
  lease(request: LeaseRequest): Promise<LeaseAnswer> {
    return this.inTurn(async () => {
      const { shard, shards, wanted, quota } = request;
      this.reach(request.numbers);
      await this.gather({ shards, wanted, quota, except: shard });
      const room = this.leadRoom(quota);
      const free = Math.max(0, Math.min(room.day, room.month));
      // More than is wanted while there is plenty, so that not every message costs a call.
      const share = Number.isFinite(free) ? Math.ceil(free / (4 * shards)) : 0;
      this.grants.grant(shard, Math.min(free, Math.max(wanted, share)));
      await this.saveGrants();
      return { part: this.grants.partOf(shard), left: this.leadRoom(quota) };
    });
  }

  /** In any shard but the lead: serves who waits out of its part, and gives up the rest. */
  async trim(part: QuotaPart): Promise<UsageState> {
    this.trims++;
    this.receive(part);
    this.serve();
    const held = this.heldRecipients();
    this.usage.lease(({ used }) => used + held);
    this.mustSave = true;
    this.save();
    const state = this.state();
    await this.around.sync();
    return state;
  }

  /** In the lead, after the quota or the number of shards changed: what the shards have is to be asked anew. */
  forget(): Promise<void> {
    return this.inTurn(async () => {
      this.grants.forget();
      await this.saveGrants();
    });
  }

  private async askUntilServed(): Promise<void> {
    this.isAsking = true;
    try {
      while (this.waiting.length > 0) await this.askOnce([...this.waiting]);
    } catch (error) {
      for (const { reject } of this.waiting.splice(0)) reject(error);
    } finally {
      this.isAsking = false;
    }
  }

  /** For all that wait now. Who comes later is not refused by this answer: the lead looked for less. */
  private async askOnce(asking: readonly Waiting[]): Promise<void> {
    const [first] = asking;
    if (!first) return;
    const { shard, shards, quota } = first.demand;
    const wanted = asking.reduce((sum, { demand }) => sum + demand.recipients, 0);
    if (shard === LEAD) {
      await this.inTurn(async () => {
        await this.gather({ shards, wanted, quota });
        this.serve({ day: 0, month: 0 }, asking);
      });
      return;
    }
    const { trims } = this;
    const { day, month } = this.state();
    const numbers = { day: day.number, month: month.number };
    const answer = await this.around.askLead({ shard, shards, wanted, quota, numbers });
    // Else it was taken back while the answer was on its way.
    if (trims === this.trims) {
      this.receive(answer.part);
      this.serve(answer.left, asking);
    }
  }

  private receive(part: QuotaPart): void {
    this.reach({ day: part.day.number, month: part.month.number });
    this.usage.lease(({ number, lease }, period) =>
      part[period].number === number ? part[period].granted : lease,
    );
  }

  /** Holds room for those who wait, first come, first served; refuses those who asked and find too little left. */
  private serve(left: Room = { day: 0, month: 0 }, asking: readonly Waiting[] = []): void {
    const rest: Waiting[] = [];
    for (const waiting of this.waiting) {
      const { demand, resolve } = waiting;
      const room = this.room(demand);
      if (lacking(demand, room) === undefined) {
        this.held.add(demand);
        resolve(undefined);
      } else {
        const all = { day: room.day + left.day, month: room.month + left.month };
        const period = asking.includes(waiting) ? lacking(demand, all) : undefined;
        if (period) resolve(period);
        else rest.push(waiting);
      }
    }
    this.waiting = rest;
  }

  /** In the lead: hears the shards that are needed for it to know, or to have, enough. */
  private async gather(need: {
    readonly shards: number;
    readonly wanted: number;
    readonly quota: Quota;
    readonly except?: number;
  }): Promise<void> {
    const ask = async (shards: readonly number[]) => {
      if (shards.length === 0) return;
      await Promise.all(
        shards.map(async (shard) =>
          this.hear(shard, await this.around.trim(shard, this.grants.partOf(shard))),
        ),
      );
      await this.saveGrants();
    };
    this.state();
    await ask(this.grants.unknown(need.shards));
    const room = this.leadRoom(need.quota);
    if (Math.min(room.day, room.month) < need.wanted) {
      await ask(this.grants.unsettled(need.shards).filter((shard) => shard !== need.except));
    }
  }

  private hear(shard: number, report: UsageState): void {
    this.reach({ day: report.day.number, month: report.month.number });
    this.grants.note(shard, report);
  }

  private async saveGrants(): Promise<void> {
    this.around.writeMeta(GRANTS, this.grants.toText());
    await this.around.sync();
  }

  private reach(numbers: Room): void {
    this.usage.reach(numbers);
    this.state();
  }

  /** What this shard may accept besides what it holds. */
  private room({ shard, quota }: QuotaDemand): Room {
    if (shard === LEAD) return this.leadRoom(quota);
    const state = this.state();
    const held = this.heldRecipients();
    const roomOf = (period: Period) => {
      const limit = quota[period];
      const { lease, used } = state[period];
      return limit === undefined ? Number.POSITIVE_INFINITY : Math.min(lease, limit) - used - held;
    };
    return { day: roomOf('day'), month: roomOf('month') };
  }

  private leadRoom(quota: Quota): Room {
    const own = this.state();
    const held = this.heldRecipients();
    return {
      day: this.grants.left('day', quota, own.day) - held,
      month: this.grants.left('month', quota, own.month) - held,
    };
  }

  private heldRecipients(): number {
    let held = 0;
    for (const { recipients } of this.held) held += recipients;
    return held;
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.turn.then(work, work);
    this.turn = result.catch(() => undefined);
    return result;
  }
}

/** The longer period first: it is the one that is waited for. */
function lacking({ recipients, quota }: QuotaDemand, room: Room): Period | undefined {
  return [...PERIODS].reverse().find((period) => quota[period] !== undefined && room[period] < recipients);
}
