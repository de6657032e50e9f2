/** How long a group that is committed together waits for more. */

const PATIENCE_MS = 2;
/** Groups until one more is hoped for again. */
const CONTENT_GROUPS = 16;
/** So many make the cost of a commit small; more would only wait longer. */
const CROWD = 64;

export interface Gathering {
  /** False: the group waits first. */
  isEnough(waiting: number): boolean;
  wait(): Promise<void>;
  /** One more waits, while others do. */
  note?(waiting: number): void;
  /** What became of a group. */
  settle(size: number): void;
}

/**
 * For sessions, which come round again and again, so what came together once comes together again: each group may wait
 * a moment for as many as the last one had, and for one more. Where that one does not come, nobody asks for it again for a
 * while. Sessions that take longer than that to come round, as those to a distant server do, are therefore not held up;
 * those that are quick are soon all in step. On one machine, six sessions that committed in two groups of three commit in
 * one of six.
 */
export class InStep implements Gathering {
  private readonly patienceMs: number;
  private wanted = 1;
  private contentFor = 0;
  private onEnough: (() => void) | undefined;

  constructor(patienceMs = PATIENCE_MS) {
    this.patienceMs = patienceMs;
  }

  isEnough(waiting: number): boolean {
    return waiting >= this.wanted;
  }

  async wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.patienceMs);
    this.onEnough = resolve;
    await promise;
    this.onEnough = undefined;
    clearTimeout(timer);
  }

  note(waiting: number): void {
    if (this.isEnough(waiting)) this.onEnough?.();
  }

  settle(size: number): void {
    if (size < this.wanted) this.contentFor = CONTENT_GROUPS;
    this.wanted = this.contentFor > 0 ? size : size + 1;
    if (this.contentFor > 0) this.contentFor--;
  }
}

/**
 * For requests, of which nobody knows whether another will come. A commit costs as much CPU time as accepting a message, and
 * all wait while it is on its way to disk. So where they come several at a time, a group waits for a turn of the event loop:
 * whoever is on the way by then comes along. Who comes alone never waits.
 */
export class Crowd implements Gathering {
  private isBusy = false;
  private readonly turn: () => Promise<void>;

  constructor(turn: () => Promise<void> = turnOfTheLoop) {
    this.turn = turn;
  }

  isEnough(waiting: number): boolean {
    return !this.isBusy || waiting >= CROWD;
  }

  wait(): Promise<void> {
    return this.turn();
  }

  settle(size: number): void {
    this.isBusy = size > 1;
  }
}

/** A millisecond. Without a number workerd takes two, and all that runs meanwhile is what comes along. */
function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
