import { describe, expect, test } from 'vitest';
import { Lane, lanesThatMayStart, MAX_AT_ONCE } from '../../src/outbox/webhooks/lane.ts';

const NOW = 1_000_000;

function lane(webhookId: string, state: Lane['state'] = 'well', inFlight = 0, startedAtMs = NOW): Lane {
  const made = new Lane({ webhookId, seq: 0, index: -1, generation: 0, activeSinceMs: 0 });
  made.state = state;
  for (let n = 0; n < inFlight; n++) made.start({ seq: n, index: 0 }, startedAtMs, n);
  return made;
}

const idsOf = (lanes: readonly Lane[], nowMs = NOW) =>
  lanesThatMayStart(lanes, nowMs).map((one) => one.webhookId);

describe('the lanes that may start', () => {
  test('have two at once each while they are well, and one otherwise', () => {
    expect(idsOf([lane('a', 'well', 1), lane('b', 'new', 1), lane('c', 'troubled', 1)])).toEqual(['a']);
    expect(idsOf([lane('a', 'well', 2)])).toEqual([]);
    expect(idsOf([lane('b', 'new'), lane('c', 'troubled')])).toEqual(['b', 'c']);
  });

  test('are four at once over all', () => {
    const lanes = Array.from({ length: MAX_AT_ONCE }, (_, n) => lane(`${n}`, 'new', 1));
    expect(idsOf([...lanes, lane('last')])).toEqual([]);
  });

  test('are two at once of those in trouble, so that the others have room', () => {
    const troubled = [lane('a', 'troubled', 1), lane('b', 'troubled', 1), lane('c', 'troubled')];
    expect(idsOf([...troubled, lane('well'), lane('new', 'new')])).toEqual(['well', 'new']);
  });

  test('count one as in trouble while its answer is a second late', () => {
    const slow = lane('slow', 'well', 1, NOW - 1000);
    expect(idsOf([slow])).toEqual([]);
    expect(idsOf([lane('quick', 'well', 1, NOW - 999)])).toEqual(['quick']);
  });

  test('leave one out that is paused', () => {
    const paused = lane('a');
    paused.pausedUntilMs = NOW + 1;
    expect(idsOf([paused])).toEqual([]);
    expect(idsOf([paused], NOW + 1)).toEqual(['a']);
  });

  test('begin with the one that waited longest', () => {
    const [one, other] = [lane('a', 'new'), lane('b', 'new')];
    one.start({ seq: 1, index: 0 }, NOW, 7);
    one.settle({ seq: 1, index: 0 });
    expect(idsOf([one, other])).toEqual(['b', 'a']);
  });
});

describe('the cursor', () => {
  const job = (seq: number, index: number) => ({
    seq,
    index,
    entry: { m: 'msg', t: 'sent', a: 0 },
    previous: undefined,
    isFromLog: true,
  });

  test('stays before the first event that is not settled, in whatever order they are', () => {
    const one = lane('a');
    one.add([job(1, 0), job(1, 1), job(2, 0)], { seq: 3, index: 0 }, 3);
    expect(one.cursor).toEqual({ seq: 1, index: -1 });
    one.settle(job(2, 0));
    expect(one.cursor).toEqual({ seq: 1, index: -1 });
    one.settle(job(1, 0));
    expect(one.cursor).toEqual({ seq: 1, index: 0 });
    one.settle(job(1, 1));
    expect(one.cursor).toEqual({ seq: 3, index: 0 });
  });

  test('goes back for a replay, and never back for an activation', () => {
    const one = lane('a');
    one.add([], { seq: 50, index: 0 }, 1);
    one.skipTo({ seq: 40, index: -1 });
    expect(one.cursor).toEqual({ seq: 50, index: 0 });
    one.moveTo({ seq: 40, index: -1 });
    expect(one.cursor).toEqual({ seq: 40, index: -1 });
  });
});
