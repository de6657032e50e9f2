/**
 * Which addresses the account does not mail, asked of D1 for many messages at once: sessions that ask while a query is
 * under way share the next one, and each query takes the next messages along. An answer is good for as long as
 * everything else that is read before a dot. Where D1 does not answer, the question fails, and nothing is sent.
 */

/**
 * The platform allows 2 MB in a statement's parameter, which is eight times this. A message has at most 50 recipients, so
 * what sessions need at once stays far below.
 */
const HASHES_PER_QUERY = 5000;

interface Query {
  readonly hashes: Set<string>;
  readonly done: Promise<void>;
}

export class SuppressionCheck {
  private readonly find: (hashes: readonly string[]) => Promise<ReadonlySet<string>>;
  private readonly ttlMs: number;
  private readonly known = new Map<string, { isSuppressed: boolean; readAtMs: number }>();
  private running: Promise<void> | undefined;
  private next: Query | undefined;

  constructor(find: (hashes: readonly string[]) => Promise<ReadonlySet<string>>, ttlMs: number) {
    this.find = find;
    this.ttlMs = ttlMs;
  }

  /** Those of the hashes that are suppressed. `upcoming` says what else will be asked soon. */
  async among(hashes: readonly string[], upcoming: () => readonly string[] = () => []): Promise<Set<string>> {
    const nowMs = Date.now();
    const unknown = hashes.filter((hash) => !this.isFresh(hash, nowMs));
    if (unknown.length > 0) await this.ask(unknown, upcoming());
    return new Set(hashes.filter((hash) => this.known.get(hash)?.isSuppressed));
  }

  private isFresh(hash: string, nowMs: number): boolean {
    const entry = this.known.get(hash);
    return entry !== undefined && nowMs - entry.readAtMs < this.ttlMs;
  }

  private ask(hashes: readonly string[], upcoming: readonly string[]): Promise<void> {
    this.next ??= this.queue();
    const { hashes: wanted, done } = this.next;
    // Whoever waits for the answer has to have asked: only what is not needed yet is left out.
    for (const hash of hashes) wanted.add(hash);
    for (const hash of upcoming) if (wanted.size < HASHES_PER_QUERY) wanted.add(hash);
    return done;
  }

  /** The query after the one that is under way. */
  private queue(): Query {
    const wanted = new Set<string>();
    const done = Promise.resolve(this.running).then(() => {
      this.next = undefined;
      const query = this.read([...wanted]);
      // Whoever waits for this one to end does not care how it ended.
      this.running = query.catch(() => undefined);
      return query;
    });
    return { hashes: wanted, done };
  }

  private async read(hashes: readonly string[]): Promise<void> {
    const readAtMs = Date.now();
    const suppressed = await this.find(hashes);
    for (const [hash, entry] of this.known) {
      if (readAtMs - entry.readAtMs >= this.ttlMs) this.known.delete(hash);
    }
    for (const hash of hashes) this.known.set(hash, { isSuppressed: suppressed.has(hash), readAtMs });
  }
}
