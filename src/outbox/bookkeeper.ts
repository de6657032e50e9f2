/** Writes decisions down: reply texts sealed, one transaction, and one sync that sessions share where they can. */
import type { Step } from '../delivery/attempt.ts';
import { InStep } from './gathering.ts';
import { GroupCommit } from './group-commit.ts';
import type { ItemChange, Ledger } from './ledger/ledger.ts';
import type { DotRecord, LedgerItem } from './ledger/message-row.ts';
import { openReplies, sealReplies } from './message-content.ts';
import type { SendingStateReader } from './sending-state.ts';

/** What was decided about a message. */
export interface Decision {
  readonly item: LedgerItem;
  readonly step: Step;
  readonly dot?: DotRecord;
}

/** How many commits may pass before the low-water mark is saved: what a restart walks through again. */
const COMMITS_PER_LOW_WATER = 500;

export class Bookkeeper {
  private readonly ledger: Ledger;
  private readonly accountId: string;
  private readonly state: SendingStateReader;
  /** Resolves once what was written so far is durable. */
  readonly sync: () => Promise<void>;
  private readonly queue: GroupCommit<readonly ItemChange[], readonly LedgerItem[]>;
  /** Since the object started. */
  commits = 0;

  constructor(
    ledger: Ledger,
    account: { accountId: string; state: SendingStateReader },
    sync: () => Promise<void>,
  ) {
    this.ledger = ledger;
    this.accountId = account.accountId;
    this.state = account.state;
    this.sync = sync;
    this.queue = new GroupCommit<readonly ItemChange[], readonly LedgerItem[]>(
      (changes) => ledger.commit(changes),
      sync,
      new InStep(),
    );
  }

  /** Resolves with the items as they are now, once the decisions are durable. */
  async commit(decisions: readonly Decision[]): Promise<readonly LedgerItem[]> {
    if (decisions.length === 0) return [];
    const written = await this.queue.submit(
      decisions.map(({ item, step, dot }) => ({
        item,
        progress: step.progress,
        replies: this.sealedReplies(item, step.replyTexts),
        dot,
      })),
    );
    this.commits++;
    if (this.commits % COMMITS_PER_LOW_WATER === 0) this.ledger.saveLowWater();
    return written;
  }

  /** Servers quote addresses in their replies, so the texts are sealed like the message itself. */
  private sealedReplies(item: LedgerItem, texts: ReadonlyMap<number, string>): Uint8Array | undefined {
    const { accountId, state } = this;
    const key = state.keys.at(-1);
    if (texts.size === 0 || !key) return item.replies;
    const identity = { accountId, id: item.id };
    return sealReplies(
      key,
      identity,
      new Map([...openReplies(state.keys, identity, item.replies), ...texts]),
    );
  }
}
