/** Ids in order, from several places, one at a time. */

/** From `from` up to, not including, `below`. */
export interface IdRange {
  readonly from: string;
  readonly below: string;
  /** Oldest first. */
  readonly ascending: boolean;
}

export type Ids = Iterator<string, undefined>;

/** Each id once, from streams that are each in the given order. Reads no further ahead than it must. */
export function* mergeIds(streams: readonly Ids[], ascending: boolean): Generator<string, undefined> {
  const heads = streams.map((ids) => ({ ids, next: ids.next().value }));
  for (;;) {
    let first: string | undefined;
    for (const { next } of heads) {
      if (next === undefined) continue;
      if (first === undefined || (ascending ? next < first : next > first)) first = next;
    }
    if (first === undefined) return;
    yield first;
    for (const head of heads) {
      while (head.next === first) head.next = head.ids.next().value;
    }
  }
}

/** The part of a list in ascending order that lies in the range, in the order of the range. */
export function* idsWithin(
  sorted: readonly string[],
  { from, below, ascending }: IdRange,
): Generator<string, undefined> {
  const start = lowerBound(sorted.length, (index) => (sorted[index] ?? '') < from);
  const end = lowerBound(sorted.length, (index) => (sorted[index] ?? '') < below);
  for (let step = 0; step < end - start; step++) {
    const id = sorted[ascending ? start + step : end - 1 - step];
    if (id !== undefined) yield id;
  }
}

/** The first index of `length` that does not come before what is looked for. */
export function lowerBound(length: number, comesBefore: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comesBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The stream to start from when an id must be in all of them: after the same number of ids, the one that is
 * furthest away from the start has the fewest. Returns it complete.
 */
export function sparsest(streams: readonly Ids[], ascending: boolean, probe = 64): Ids {
  const probed = streams.map((ids) => {
    const seen: string[] = [];
    while (seen.length < probe) {
      const { value } = ids.next();
      if (value === undefined) break;
      seen.push(value);
    }
    return { ids, seen, isEnded: seen.length < probe };
  });
  const [best] = probed.sort((a, b) => {
    if (a.isEnded || b.isEnded) return a.seen.length - b.seen.length;
    const [first = '', second = ''] = [a.seen.at(-1), b.seen.at(-1)];
    const order = first < second ? -1 : first > second ? 1 : 0;
    return ascending ? -order : order;
  });
  return best ? chain(best.seen, best.ids) : chain([], undefined);
}

function* chain(first: readonly string[], rest: Ids | undefined): Generator<string, undefined> {
  yield* first;
  for (let next = rest?.next().value; next !== undefined; next = rest?.next().value) yield next;
}
