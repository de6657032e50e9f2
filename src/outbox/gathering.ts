/**
 * How long a group that is committed together waits for more. Sessions come round again and again, so what came
 * together once comes together again: each group may wait a moment for as many as the last one had, and for one more.
 * Where that one does not come, nobody asks for it again for a while. Sessions that take longer than that to come
 * round, as those to a distant server do, are therefore not held up; those that are quick are soon all in step. On
 * one machine, six sessions that committed in two groups of three commit in one of six.
 */
const PATIENCE_MS = 2;
/** Groups until one more is hoped for again. */
const CONTENT_GROUPS = 16;

export class Gathering {
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

  /** Resolves once there are enough, or after a moment. */
  async wait(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.patienceMs);
    this.onEnough = resolve;
    await promise;
    this.onEnough = undefined;
    clearTimeout(timer);
  }

  /** One more waits. */
  note(waiting: number): void {
    if (this.isEnough(waiting)) this.onEnough?.();
  }

  /** What became of a group. */
  settle(size: number): void {
    if (size < this.wanted) this.contentFor = CONTENT_GROUPS;
    this.wanted = this.contentFor > 0 ? size : size + 1;
    if (this.contentFor > 0) this.contentFor--;
  }
}
