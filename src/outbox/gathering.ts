/** How long a group that is committed together waits for more. */

const PATIENCE_MS = 2;
/** Groups until one more is hoped for again. */
const CONTENT_GROUPS = 16;
/** How long a crowd waits for the next one. */
const CROWD_PATIENCE_MS = 4;
/** Below this, a commit shared is not worth the wait. */
const SMALLEST_CROWD = 4;
/** So many make the cost of a commit small; more would only wait longer. */
const LARGEST_CROWD = 64;

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
 * all wait while it is on its way to disk. So where several share a commit, the next group waits for as many as there were,
 * as long as somebody comes every few milliseconds. A group outgrows the last one by who comes during a commit, never by
 * hope: a few clients wait for nobody, and those who are waited for in vain once are not waited for again. 32 connections
 * of one client commit in groups of 15; without this, of 8.
 */
export class Crowd implements Gathering {
  private readonly patienceMs: number;
  private lastSize = 0;
  private hasGrown = false;
  private onEnough: (() => void) | undefined;

  constructor(patienceMs = CROWD_PATIENCE_MS) {
    this.patienceMs = patienceMs;
  }

  isEnough(waiting: number): boolean {
    return this.lastSize < SMALLEST_CROWD || waiting >= Math.min(this.lastSize, LARGEST_CROWD);
  }

  async wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const waitOn = () => {
      this.hasGrown = false;
      timer = setTimeout(() => (this.hasGrown ? waitOn() : resolve()), this.patienceMs);
    };
    this.onEnough = resolve;
    waitOn();
    await promise;
    this.onEnough = undefined;
    clearTimeout(timer);
  }

  note(waiting: number): void {
    this.hasGrown = true;
    if (this.isEnough(waiting)) this.onEnough?.();
  }

  settle(size: number): void {
    this.lastSize = size;
  }
}
