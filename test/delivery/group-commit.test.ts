import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Crowd, type Gathering, InStep } from '../../src/outbox/gathering.ts';
import { GroupCommit } from '../../src/outbox/group-commit.ts';

/** A queue whose disk is in the hands of the test. Requests below zero cannot be handled. */
function open(gathering?: Gathering) {
  const handled: number[] = [];
  const syncs: { done: () => void; fail: (error: unknown) => void }[] = [];
  const queue = new GroupCommit<number, string>(
    (request) => {
      handled.push(request);
      if (request < 0) throw new Error(`cannot ${request}`);
      return `did ${request}`;
    },
    () =>
      new Promise<void>((resolve, reject) => {
        syncs.push({ done: resolve, fail: reject });
      }),
    gathering,
  );
  const answered: number[] = [];
  const submit = (request: number) => {
    const answer = queue.submit(request);
    const note = () => answered.push(request);
    answer.then(note, note);
    return answer;
  };
  return { submit, handled, syncs, answered };
}

/** Until every continuation that could run has run. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the accept queue', () => {
  test('handles a request at once, and answers once it is durable', async () => {
    const { submit, handled, syncs, answered } = open();
    const answer = submit(1);
    expect(handled).toEqual([1]);
    await settled();
    expect(answered).toEqual([]);
    syncs[0]?.done();
    expect(await answer).toBe('did 1');
  });

  test('lets the requests that arrive during a sync share the next one', async () => {
    const { submit, handled, syncs, answered } = open();
    const first = submit(1);
    const later = [submit(2), submit(3), submit(4)];
    await settled();
    expect(handled).toEqual([1]);
    expect(syncs).toHaveLength(1);
    syncs[0]?.done();
    await first;
    await settled();
    expect(handled).toEqual([1, 2, 3, 4]);
    expect(syncs).toHaveLength(2);
    expect(answered).toEqual([1]);
    later.push(submit(5));
    syncs[1]?.done();
    await settled();
    expect(answered).toEqual([1, 2, 3, 4]);
    expect(syncs).toHaveLength(3);
    syncs[2]?.done();
    expect(await Promise.all(later)).toEqual(['did 2', 'did 3', 'did 4', 'did 5']);
    expect(syncs).toHaveLength(3);
  });

  test('starts afresh after it was idle', async () => {
    const { submit, syncs } = open();
    for (const request of [1, 2, 3]) {
      const answer = submit(request);
      syncs.at(-1)?.done();
      expect(await answer).toBe(`did ${request}`);
      await settled();
    }
    expect(syncs).toHaveLength(3);
  });

  test('a request that cannot be handled fails alone', async () => {
    const { submit, handled, syncs } = open();
    const first = submit(1);
    const answers = Promise.allSettled([submit(2), submit(-3), submit(4)]);
    syncs[0]?.done();
    await first;
    await settled();
    syncs[1]?.done();
    expect(await answers).toEqual([
      { status: 'fulfilled', value: 'did 2' },
      { status: 'rejected', reason: new Error('cannot -3') },
      { status: 'fulfilled', value: 'did 4' },
    ]);
    expect(handled).toEqual([1, 2, -3, 4]);
  });

  test('a sync that fails fails all who shared it, and nobody after them', async () => {
    const { submit, syncs } = open();
    const first = submit(1);
    const shared = Promise.allSettled([submit(2), submit(-3), submit(4)]);
    syncs[0]?.done();
    await first;
    await settled();
    const after = submit(5);
    syncs[1]?.fail(new Error('disk'));
    const reason = new Error('disk');
    expect(await shared).toEqual([
      { status: 'rejected', reason },
      { status: 'rejected', reason: new Error('cannot -3') },
      { status: 'rejected', reason },
    ]);
    await settled();
    syncs[2]?.done();
    expect(await after).toBe('did 5');
    expect(syncs).toHaveLength(3);
  });

  test('a first request that cannot be handled does not stop the next', async () => {
    const { submit, syncs } = open();
    await expect(submit(-1)).rejects.toThrow('cannot -1');
    const next = submit(2);
    for (const sync of syncs.splice(0)) sync.done();
    await settled();
    for (const sync of syncs.splice(0)) sync.done();
    expect(await next).toBe('did 2');
  });

  test('a sync that throws instead of failing does not stop the next', async () => {
    let isBroken = true;
    const queue = new GroupCommit<number, number>(
      (request) => request,
      () => {
        if (isBroken) throw new Error('disk');
        return Promise.resolve();
      },
    );
    await expect(queue.submit(1)).rejects.toThrow('disk');
    isBroken = false;
    expect(await queue.submit(2)).toBe(2);
  });
});

describe('gathering', () => {
  /** Longer than any test: a group that leaves did not wait for the clock. */
  const PATIENT_MS = 10 * 60 * 1000;

  test('a group waits for as many as the last one had, and one more', async () => {
    const { submit, handled, syncs } = open(new InStep(PATIENT_MS));
    submit(1);
    submit(2);
    submit(3);
    expect(handled).toEqual([1]);
    syncs[0]?.done();
    await settled();
    expect(handled).toEqual([1, 2, 3]);
    submit(4);
    syncs[1]?.done();
    await settled();
    submit(5);
    await settled();
    expect(handled).toEqual([1, 2, 3]);
    submit(6);
    await settled();
    expect(handled).toEqual([1, 2, 3, 4, 5, 6]);
    expect(syncs).toHaveLength(3);
  });

  test('nobody waits for those who do not come', async () => {
    const { submit, handled, syncs } = open(new InStep(0));
    for (const request of [1, 2, 3]) submit(request);
    syncs[0]?.done();
    await settled();
    const last = submit(4);
    syncs[1]?.done();
    while (syncs.length < 3) await settled();
    expect(handled).toEqual([1, 2, 3, 4]);
    syncs[2]?.done();
    expect(await last).toBe('did 4');
  });

  test('one that did not come is not hoped for again for a while', () => {
    const gathering = new InStep(PATIENT_MS);
    gathering.settle(3);
    expect([3, 4].map((waiting) => gathering.isEnough(waiting))).toEqual([false, true]);
    for (let group = 0; group < 16; group++) {
      gathering.settle(3);
      expect([2, 3].map((waiting) => gathering.isEnough(waiting))).toEqual([false, true]);
    }
    gathering.settle(3);
    expect([3, 4].map((waiting) => gathering.isEnough(waiting))).toEqual([false, true]);
  });
});

describe('a crowd', () => {
  const PATIENCE_MS = 4;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Some that share a commit, and one who came while it was on its way. */
  async function shared(size: number) {
    const opened = open(new Crowd(PATIENCE_MS));
    const { submit, syncs, handled } = opened;
    for (let request = 0; request <= size; request++) submit(request);
    syncs[0]?.done();
    await settled();
    expect(handled).toHaveLength(1 + size);
    submit(100);
    syncs[1]?.done();
    await settled();
    return opened;
  }

  test('one after the other, nobody waits', async () => {
    const { submit, handled, syncs } = open(new Crowd(PATIENCE_MS));
    for (const request of [1, 2, 3]) {
      const answer = submit(request);
      expect(handled).toContain(request);
      syncs.at(-1)?.done();
      await answer;
      await settled();
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  test('after a group of three, nobody waits', async () => {
    const { handled } = await shared(3);
    expect(handled).toContain(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a group leaves when as many are there as the last one had', async () => {
    const { submit, handled } = await shared(4);
    for (const request of [101, 102]) submit(request);
    await settled();
    expect(handled).toEqual([0, 1, 2, 3, 4]);
    submit(103);
    await settled();
    expect(handled).toEqual([0, 1, 2, 3, 4, 100, 101, 102, 103]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a group waits on while others come, and leaves when nobody does', async () => {
    const { submit, handled, syncs } = await shared(4);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1);
    submit(101);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    expect(handled).toEqual([0, 1, 2, 3, 4]);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    expect(handled).toEqual([0, 1, 2, 3, 4, 100, 101]);
    expect(syncs).toHaveLength(3);
  });

  test('those who were waited for in vain are not waited for again', async () => {
    const { submit, handled, syncs } = await shared(4);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS);
    expect(handled).toEqual([0, 1, 2, 3, 4, 100]);
    syncs[2]?.done();
    await settled();
    submit(101);
    expect(handled).toContain(101);
  });

  test('however large a group was, the next one leaves with 64', () => {
    const crowd = new Crowd();
    crowd.settle(500);
    expect([63, 64].map((waiting) => crowd.isEnough(waiting))).toEqual([false, true]);
  });
});
