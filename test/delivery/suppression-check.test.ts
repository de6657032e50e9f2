import { describe, expect, test } from 'vitest';
import { SuppressionCheck } from '../../src/outbox/suppression-check.ts';

/** A check whose database is in the hands of the test. */
function open(suppressed: readonly string[], ttlMs = 60_000) {
  const queries: { hashes: readonly string[]; answer: () => void; fail: () => void }[] = [];
  const check = new SuppressionCheck(
    (hashes) =>
      new Promise((resolve, reject) => {
        queries.push({
          hashes,
          answer: () => resolve(new Set(hashes.filter((hash) => suppressed.includes(hash)))),
          fail: () => reject(new Error('D1 is away')),
        });
      }),
    ttlMs,
  );
  return { check, queries };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the check of suppressions', () => {
  test('says which of the addresses are suppressed', async () => {
    const { check, queries } = open(['b']);
    const asked = check.among(['a', 'b']);
    await settled();
    queries[0]?.answer();
    expect(await asked).toEqual(new Set(['b']));
  });

  test('asks again only for what it does not know, and takes along what comes next', async () => {
    const { check, queries } = open(['c']);
    const first = check.among(['a'], () => ['b', 'c']);
    await settled();
    expect(queries[0]?.hashes).toEqual(['a', 'b', 'c']);
    queries[0]?.answer();
    await first;
    expect(await check.among(['b', 'c'])).toEqual(new Set(['c']));
    expect(queries).toHaveLength(1);
  });

  test('lets those who ask during a query share the next one', async () => {
    const { check, queries } = open(['d']);
    const first = check.among(['a']);
    await settled();
    const later = ['b', 'c', 'd'].map((hash) => check.among([hash]));
    await settled();
    expect(queries).toHaveLength(1);
    queries[0]?.answer();
    await first;
    await settled();
    expect(queries[1]?.hashes).toEqual(['b', 'c', 'd']);
    queries[1]?.answer();
    expect((await Promise.all(later)).map((found) => found.size)).toEqual([0, 0, 1]);
  });

  test('asks for everybody who waits for the answer, however much is coming up', async () => {
    const { check, queries } = open(['late']);
    const coming = Array.from({ length: 6000 }, (_, index) => `coming-${index}`);
    const asked = [check.among(['early'], () => coming), check.among(['late'])];
    await settled();
    queries[0]?.answer();
    expect((await Promise.all(asked)).map((found) => [...found])).toEqual([[], ['late']]);
    expect(queries[0]?.hashes.length).toBe(5001);
  });

  test('forgets an answer when its time is over', async () => {
    const { check, queries } = open([], 0);
    const first = check.among(['a']);
    await settled();
    queries[0]?.answer();
    await first;
    void check.among(['a']);
    await settled();
    expect(queries).toHaveLength(2);
  });

  test('fails where the database does, for those who asked, and not for those who ask later', async () => {
    const { check, queries } = open(['a']);
    const first = check.among(['a']);
    await settled();
    const second = check.among(['a']);
    queries[0]?.fail();
    await expect(first).rejects.toThrow('D1 is away');
    await settled();
    queries[1]?.answer();
    expect(await second).toEqual(new Set(['a']));
  });
});
