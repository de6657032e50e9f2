/**
 * Cancels what one shard has of a canceled broadcast. There is no index on broadcasts, so the messages that were accepted
 * since it was made are walked through, some at a time; what is at its dot is looked at again. After a restart it starts anew.
 */
import { firstMessageIdAt, idTimeMs } from '../../ids.ts';
import { logError, logEvent } from '../../log.ts';
import type { Ledger } from '../ledger/ledger.ts';

const MESSAGES_PER_STEP = 500;
/** What is at its dot has a verdict, or is in doubt, after a while. */
const AGAIN_MS = 1000;
/** The broadcast's id is of another machine's clock than the ids of its messages. */
const CLOCK_SKEW_MS = 10 * 60 * 1000;

export interface StopperContext {
  readonly accountId: string;
  readonly ledger: Ledger;
  readonly sync: () => Promise<void>;
  readonly onRest: () => void;
}

export class BroadcastStopper {
  private readonly context: StopperContext;
  private isPassing = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: StopperContext) {
    this.context = context;
  }

  get hasWork(): boolean {
    return this.context.ledger.parts.stoppingIds.length > 0;
  }

  /** Returns at once. */
  kick(): void {
    if (!this.isPassing && this.timer === undefined && this.hasWork) void this.pass();
  }

  private async pass(): Promise<void> {
    const { ledger, accountId, onRest } = this.context;
    this.isPassing = true;
    for (const id of ledger.parts.stoppingIds) {
      try {
        if (await this.cancelAll(id)) ledger.parts.finishStop(id);
      } catch (error) {
        logError('broadcast_stop_interrupted', error, { account_id: accountId, broadcast_id: id });
      }
    }
    this.isPassing = false;
    if (this.hasWork) {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.kick();
      }, AGAIN_MS);
    }
    onRest();
  }

  /** True where none of its messages can be sent any more. */
  private async cancelAll(id: string): Promise<boolean> {
    const { ledger, accountId, sync } = this.context;
    let after: string | undefined = firstMessageIdAt(Math.max(0, idTimeMs(id) - CLOCK_SKEW_MS));
    let isOver = true;
    while (after !== undefined) {
      const step = ledger.cancelOfBroadcast(id, { after, limit: MESSAGES_PER_STEP }, Date.now());
      isOver &&= step.atDot === 0;
      after = step.next;
      await sync();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    if (isOver) logEvent('broadcast_stopped', { account_id: accountId, broadcast_id: id });
    return isOver;
  }
}
