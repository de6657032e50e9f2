/**
 * Group commit, for what is accepted and for what is decided. Requests that arrive while a commit is on its
 * way to disk wait for the next one and share it: one sync for all of them instead of one each.
 */
import type { Gathering } from './gathering.ts';

interface Waiting<Request, Result> {
  readonly request: Request;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit<Request, Result> {
  private waiting: Waiting<Request, Result>[] = [];
  private isFlushing = false;
  private readonly handle: (request: Request) => Result;
  private readonly sync: () => Promise<void>;
  private readonly gathering: Gathering | undefined;

  /**
   * `handle` writes synchronously and says what to answer once `sync` has made it durable. Without a `gathering` no
   * group waits for more than what is there.
   */
  constructor(handle: (request: Request) => Result, sync: () => Promise<void>, gathering?: Gathering) {
    this.handle = handle;
    this.sync = sync;
    this.gathering = gathering;
  }

  submit(request: Request): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ request, resolve, reject });
      if (!this.isFlushing) void this.flush();
      else this.gathering?.note?.(this.waiting.length);
    });
  }

  private async flush(): Promise<void> {
    this.isFlushing = true;
    while (this.waiting.length > 0) {
      const { gathering } = this;
      if (gathering && !gathering.isEnough(this.waiting.length)) await gathering.wait();
      const group = this.waiting;
      this.waiting = [];
      gathering?.settle(group.length);
      const answers: (() => void)[] = [];
      for (const { request, resolve, reject } of group) {
        try {
          const result = this.handle(request);
          answers.push(() => resolve(result));
        } catch (error) {
          reject(error);
        }
      }
      try {
        await this.sync();
        for (const answer of answers) answer();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.isFlushing = false;
  }
}
