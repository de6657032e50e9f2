/**
 * The one thing a channel waits for may be late. Each reply brings a new deadline, nearly always a later one, so a
 * timer that runs is left alone and goes on for the rest when it fires: one for each reply was 2 % of the CPU time
 * of a message.
 */
export class Deadline {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firesAtMs = 0;
  #dueAtMs = 0;
  #onDue: (() => void) | undefined;

  /** In place of the one before. */
  set(timeoutMs: number, onDue: () => void): void {
    this.#onDue = onDue;
    this.#dueAtMs = Date.now() + timeoutMs;
    if (this.#timer === undefined || this.#dueAtMs < this.#firesAtMs) this.#start(timeoutMs);
  }

  /** Nothing is waited for. A timer may still fire, once, and does nothing then. */
  drop(): void {
    this.#onDue = undefined;
  }

  /** For good: no timer runs any more. */
  stop(): void {
    this.drop();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #start(timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#firesAtMs = Date.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#fire(), timeoutMs);
  }

  #fire(): void {
    this.#timer = undefined;
    const onDue = this.#onDue;
    if (onDue === undefined) return;
    if (this.#dueAtMs > this.#firesAtMs) this.#start(this.#dueAtMs - this.#firesAtMs);
    else onDue();
  }
}
