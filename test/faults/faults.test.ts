/** A few cells of the grid, always the same ones; `npm run test:faults` runs hundreds. */
import { afterAll, describe, expect, test } from 'vitest';
import { makeTestCa } from '../support/test-ca.ts';
import { runCells } from './cell-run.ts';
import {
  allCells,
  type Cell,
  FAULTS,
  nameOf,
  POSITIONS,
  randomOf,
  sampleCells,
  whyNotApplicable,
} from './grid.ts';
import { type LedgerView, reconcile, type StoredCopy } from './reconcile.ts';

const cells = allCells();
const applicable = cells.filter((cell) => whyNotApplicable(cell) === undefined);

describe('the grid of faults', () => {
  test('crosses 22 positions and 15 faults with three mixes of recipients, two TLS modes and two policies', () => {
    expect(POSITIONS.length).toBeGreaterThanOrEqual(22);
    expect(FAULTS.length).toBeGreaterThanOrEqual(15);
    expect(cells).toHaveLength(POSITIONS.length * FAULTS.length * 3 * 2 * 2);
    expect(new Set(cells.map(nameOf)).size).toBe(cells.length);
  });

  test('has an applicable cell for every position and every fault, and a reason for each that is not', () => {
    expect(new Set(applicable.map(({ position }) => position)).size).toBe(POSITIONS.length);
    expect(new Set(applicable.map(({ fault }) => fault)).size).toBe(FAULTS.length);
    expect(cells.filter((cell) => whyNotApplicable(cell) === '')).toEqual([]);
  });

  test('is sampled evenly, and the same way for the same seed', () => {
    const chosen = sampleCells(applicable, 600, randomOf(1));
    expect(chosen).toEqual(sampleCells(applicable, 600, randomOf(1)));
    expect(new Set(chosen.map(nameOf)).size).toBe(600);
    const pairs = new Set(applicable.map(({ position, fault }) => `${position}/${fault}`));
    expect(new Set(chosen.map(({ position, fault }) => `${position}/${fault}`)).size).toBe(pairs.size);
  });
});

describe('the comparison of the three ledgers', () => {
  const recipient = 'ok@example.net';
  const told = [{ token: 't1', id: 'msg_1', recipients: [recipient] }];
  const copy = (answered: string | undefined): StoredCopy => ({
    recipients: [recipient],
    data: Buffer.from('Subject: t1\r\nMessage-ID: <msg_1@example.com>\r\n\r\nText\r\n'),
    answered,
  });
  const view = (status: string, doubts = 0): Map<string, LedgerView> => {
    const end = { type: status, recipients: [recipient] };
    const doubt = { type: 'in_doubt', recipients: [recipient] };
    return new Map([
      [
        'msg_1',
        {
          id: 'msg_1',
          message_id: '<msg_1@example.com>',
          possible_duplicates: doubts,
          deliveries: [{ recipient, status, last_reply: null, next_attempt_at: null }],
          timeline: [...Array.from({ length: doubts }, () => doubt), end],
        },
      ],
    ]);
  };

  test('finds nothing where one copy was answered with 250 and called delivered', () => {
    expect(reconcile(told, view('delivered'), [copy('250 ok')]).texts).toEqual([]);
  });

  test('calls a message lost that is delivered without a copy, deferred for ever, or gone from the ledger', () => {
    expect(reconcile(told, view('delivered'), []).lost).toBe(1);
    expect(reconcile(told, view('delivered', 1), [copy(undefined)]).lost).toBe(1);
    expect(reconcile(told, view('deferred'), []).lost).toBe(1);
    expect(reconcile(told, new Map(), [copy('250 ok')]).lost).toBe(1);
  });

  test('calls a copy unaccounted that is beyond the doubts on record, of a failed message, or of none', () => {
    const two = [copy('250 ok'), copy(undefined)];
    expect(reconcile(told, view('delivered'), two).unaccounted).toBe(1);
    expect(reconcile(told, view('delivered', 1), two)).toMatchObject({ unaccounted: 0, texts: [] });
    expect(reconcile(told, view('failed'), [copy('250 ok')]).unaccounted).toBe(1);
    expect(reconcile([], new Map(), [copy('250 ok')]).unaccounted).toBe(1);
  });

  test('says where copies differ', () => {
    const other = { ...copy(undefined), data: Buffer.concat([copy(undefined).data, Buffer.from('x')]) };
    expect(reconcile(told, view('delivered', 1), [copy('250 ok'), other]).texts).toEqual([
      't1: its copies differ',
    ]);
  });
});

const ca = makeTestCa();

describe.skipIf(!ca)('cells of the grid (need the openssl command)', () => {
  afterAll(() => ca?.dispose());

  /** Every position once, with a fault, recipients, TLS and policy that change from one to the next. */
  const chosen: Cell[] = POSITIONS.flatMap((position, index) => {
    const here = applicable.filter((cell) => cell.position === position);
    const cell = here[(index * 37) % here.length];
    return cell ? [cell] : [];
  });
  const named = ['dot/close-stored', 'dot/kill-stored', 'dot/rst', 'dot-overlapped/421-stored'].flatMap(
    (name) => applicable.filter((cell) => nameOf(cell) === `${name}/mixed/starttls/retry`),
  );

  test('lose nothing, and leave no copy that is not on record', async () => {
    if (!ca) return;
    const results = await runCells([...chosen, ...named], { ca, width: 8 });
    expect(results.flatMap(({ findings }) => findings.texts)).toEqual([]);
    expect(results.length).toBeGreaterThanOrEqual(30);
  });
});
