/** How the objects of one account reach each other in the model; what one asks of itself takes no such way. */
import type { Acceptance } from '../../src/outbox/acceptance.ts';
import type { BroadcastOffice } from '../../src/outbox/broadcasts/broadcast-office.ts';
import type { BroadcastPartApi } from '../../src/outbox/broadcasts/part-api.ts';
import type { AcceptRequest, AcceptResult } from '../../src/outbox/client.ts';
import type { QuotaPart } from '../../src/outbox/quota-grants.ts';
import type { LeaseRequest } from '../../src/outbox/quota-keeper.ts';

export interface Network {
  /** Shards that do not answer. */
  readonly unreachable: ReadonlySet<number>;
  /** Pages arrive after it. */
  readonly onTheWay: Promise<void> | undefined;
  /** Pages arrive after it, and by then their callers have heard that the connection was lost. */
  readonly lostUntil: Promise<void> | undefined;
  /** What became of those that were lost. */
  readonly late: Promise<AcceptResult>[];
}

export interface Reachable {
  readonly acceptance: Acceptance;
  readonly office: BroadcastOffice;
}

/** As much of an Outbox as broadcasts ask for. Each of its calls is made through `call`. */
export function stubOf(
  network: Network,
  { number, acceptance, office }: Reachable & { readonly number: number },
  call: <T>(step: string, work: () => Promise<T>) => Promise<T>,
) {
  const called = <T>(step: string, work: () => Promise<T>) =>
    network.unreachable.has(number) ? Promise.reject(new Error('unreachable')) : call(step, work);
  const { part } = office;
  const parts: BroadcastPartApi & Disposable = {
    // The tests read, too: it is no step of a broadcast.
    read: (ids) => (network.unreachable.has(number) ? called('read', () => part.read(ids)) : part.read(ids)),
    room: (shards) => called('room', () => part.room(shards)),
    fence: (page) => called('fence', () => part.fence(page)),
    stop: (id) => called('stop', () => part.stop(id)),
    [Symbol.dispose]: () => {},
  };
  return {
    broadcastPartsOf: () => parts,
    accept: (request: AcceptRequest) =>
      called('accept', async () => {
        const { lostUntil } = network;
        if (lostUntil) {
          network.late.push(lostUntil.then(() => acceptance.accept(request)));
          throw new Error('the connection was lost');
        }
        await network.onTheWay;
        return acceptance.accept(request);
      }),
    leaseQuota: (_accountId: string, request: LeaseRequest) =>
      called('lease', () => acceptance.quota.lease(request)),
    trimQuota: (part: QuotaPart) => called('trim', () => acceptance.quota.trim(part)),
  };
}
