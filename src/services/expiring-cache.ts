interface Limits<V> {
  readonly ttlMs: number;
  readonly maxEntries: number;
  /** Of all entries together, for values of very different sizes. What weighs more alone is not remembered. */
  readonly maxWeight?: number;
  readonly weightOf?: (value: V) => number;
}

/**
 * A small map of values that are good for a limited time. Bounded: the oldest entry makes room.
 * What was read before a `forget` is never stored after it, so a revocation cannot be undone by a
 * look-up that was under way.
 */
export class ExpiringCache<V> {
  readonly #entries = new Map<string, { readonly value: V; readonly expiresAtMs: number }>();
  readonly #limits: Limits<V>;
  #weight = 0;
  #generation = 0;

  constructor(limits: Limits<V>) {
    this.#limits = limits;
  }

  /** The known value, or what `load` finds. Nothing is remembered where it finds nothing. */
  async find(key: string, load: () => Promise<V | undefined>): Promise<V | undefined> {
    const known = this.#entries.get(key);
    if (known && known.expiresAtMs > Date.now()) return known.value;
    const generation = this.#generation;
    // Counted from before the read: the value may be as old as that.
    const expiresAtMs = Date.now() + this.#limits.ttlMs;
    const value = await load();
    if (value !== undefined && generation === this.#generation) this.#store(key, { value, expiresAtMs });
    return value;
  }

  forget(matches: (value: V, key: string) => boolean): void {
    this.#generation++;
    for (const [key, entry] of this.#entries) if (matches(entry.value, key)) this.#delete(key);
  }

  #store(key: string, entry: { readonly value: V; readonly expiresAtMs: number }): void {
    this.#delete(key);
    const { maxEntries, maxWeight = Number.POSITIVE_INFINITY } = this.#limits;
    const weight = this.#weightOf(entry.value);
    if (weight > maxWeight) return;
    while (this.#entries.size >= maxEntries || this.#weight + weight > maxWeight) {
      const oldest = this.#entries.keys().next();
      if (oldest.done) break;
      this.#delete(oldest.value);
    }
    this.#entries.set(key, entry);
    this.#weight += weight;
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#weight -= this.#weightOf(entry.value);
    this.#entries.delete(key);
  }

  #weightOf(value: V): number {
    return this.#limits.weightOf?.(value) ?? 0;
  }
}
