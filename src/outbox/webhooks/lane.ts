/**
 * One endpoint's way through the courier, and which of several may send next. Pure state.
 * - At most four requests at once over all endpoints, and two to one.
 * - One that failed, or took long, gets one at a time until it answers well again, and all of its kind
 *   together get two: the others always have room. One that was not tried yet gets one at a time too.
 */
import type { LoggedEntry } from '../ledger/event-log.ts';
import type { Delivery } from '../ledger/webhook-table.ts';
import { type EventPosition, isAfter } from './event-id.ts';

export const MAX_AT_ONCE = 4;
export const MAX_PER_ENDPOINT = 2;
export const MAX_TROUBLED = 2;
/** An answer that takes longer is trouble for the others, whatever it says. */
export const SLOW_MS = 1000;
const PASSED_PER_SAVE = 100;

export interface Job extends LoggedEntry {
  /** What became of it so far. */
  readonly previous: Delivery | undefined;
  /** Taken from the log, as against a retry. */
  readonly isFromLog: boolean;
}

interface Flight {
  readonly startedAtMs: number;
  readonly generation: number;
  /** A replay came across it: it goes out once more after this. */
  isOrderedAgain: boolean;
}

export class Lane {
  readonly webhookId: string;
  /** How far the log was read for it. */
  readAt: EventPosition;
  generation: number;
  activeSinceMs: number;
  state: 'new' | 'well' | 'troubled' = 'new';
  pausedUntilMs = 0;
  /** When the first retry that is not in flight is due. */
  retryAtMs: number | undefined;
  /** Retries and the log take turns: neither keeps up the other. */
  isRetryTurn = false;
  private lastStartedAt = 0;
  private passed = 0;
  readonly inFlight = new Map<string, Flight>();
  readonly ready: Job[] = [];
  /** Places of the log that were read and are not settled, in order. */
  private outstanding: EventPosition[] = [];

  constructor(cursor: EventPosition & { webhookId: string; generation: number; activeSinceMs: number }) {
    this.webhookId = cursor.webhookId;
    this.readAt = { seq: cursor.seq, index: cursor.index };
    this.generation = cursor.generation;
    this.activeSinceMs = cursor.activeSinceMs;
  }

  /** Everything up to here is settled. */
  get cursor(): EventPosition {
    const [first] = this.outstanding;
    return first ? { seq: first.seq, index: first.index - 1 } : this.readAt;
  }

  /** The saved cursor may lag: what was settled beyond it has a row of its own. */
  get isSaveDue(): boolean {
    return this.passed >= PASSED_PER_SAVE;
  }

  markSaved(): void {
    this.passed = 0;
  }

  get startedLast(): number {
    return this.lastStartedAt;
  }

  /** `passed`: how many events were read for these jobs. */
  add(jobs: readonly Job[], readAt: EventPosition, passed: number): void {
    this.passed += passed;
    for (const job of jobs) {
      const flight = this.inFlight.get(keyOf(job));
      if (!flight) this.ready.push(job);
      else if (flight.generation < this.generation) flight.isOrderedAgain = true;
    }
    this.outstanding.push(...jobs.map(({ seq, index }) => ({ seq, index })));
    this.readAt = readAt;
  }

  /** Starts over from another place, or skips what lies before it. What is in flight goes on. */
  moveTo(place: EventPosition): void {
    this.ready.length = 0;
    this.outstanding = [];
    this.readAt = place;
  }

  skipTo(place: EventPosition): void {
    if (isAfter(place, this.cursor)) this.moveTo(place);
  }

  start(job: EventPosition, nowMs: number, turn: number): void {
    this.lastStartedAt = turn;
    const { generation } = this;
    this.inFlight.set(keyOf(job), { startedAtMs: nowMs, generation, isOrderedAgain: false });
  }

  isInFlight(job: EventPosition): boolean {
    return this.inFlight.has(keyOf(job));
  }

  isOrderedAgain(job: EventPosition): boolean {
    return this.inFlight.get(keyOf(job))?.isOrderedAgain ?? false;
  }

  settle(job: EventPosition): void {
    this.inFlight.delete(keyOf(job));
    const at = this.outstanding.findIndex(({ seq, index }) => seq === job.seq && index === job.index);
    if (at >= 0) this.outstanding.splice(at, 1);
  }

  isTroubled(nowMs: number): boolean {
    if (this.state === 'troubled') return true;
    return [...this.inFlight.values()].some(({ startedAtMs }) => nowMs - startedAtMs >= SLOW_MS);
  }

  mayStart(nowMs: number): boolean {
    const limit = this.state === 'well' && !this.isTroubled(nowMs) ? MAX_PER_ENDPOINT : 1;
    return this.pausedUntilMs <= nowMs && this.inFlight.size < limit;
  }
}

/** The lanes that may send one more, the one with the least in flight first, then the one whose turn is longest ago. */
export function lanesThatMayStart(lanes: readonly Lane[], nowMs: number): Lane[] {
  const total = lanes.reduce((sum, lane) => sum + lane.inFlight.size, 0);
  if (total >= MAX_AT_ONCE) return [];
  const troubled = lanes
    .filter((lane) => lane.isTroubled(nowMs))
    .reduce((sum, lane) => sum + lane.inFlight.size, 0);
  return lanes
    .filter((lane) => lane.mayStart(nowMs) && (!lane.isTroubled(nowMs) || troubled < MAX_TROUBLED))
    .sort((one, other) => one.inFlight.size - other.inFlight.size || one.startedLast - other.startedLast);
}

function keyOf({ seq, index }: EventPosition): string {
  return `${seq}/${index}`;
}
