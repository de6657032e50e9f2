/** A row of `messages`, and what it means. */
import { nextDueAt, type Progress, shownDeliveries } from '../../delivery/progress.ts';
import type { LedgerMessage } from '../client.ts';

export const CLOSED = 0;
/** Found by the scan in id order. */
export const WAITING = 1;
/** Found by its row in `due`. */
export const DUE = 2;
/** In doubt and left to the customer. */
export const HELD = 3;
/** Sent with a test key: found by its row in `test_due`, and out of sight of everything that opens a socket. */
export const TEST = 4;

/** The number of the first piece of what has none any more: of no piece that ever was. */
export const NO_PIECES = 2 ** 52;

/** What was written down before a final dot left: enough to know what is in doubt, and to make the same copy. */
export interface DotRecord {
  readonly relayId: string;
  readonly recipients: readonly number[];
  /** Of the message's bytes before dot-stuffing, in hex. */
  readonly sha256: string;
  /** True from before the dot until its verdict. False: the doubt was recorded, and the hash is kept for the copy. */
  readonly pending: boolean;
}

/** A message as the pump carries it around. Replaced by each commit. */
export interface LedgerItem {
  readonly id: string;
  readonly acceptedAtMs: number;
  readonly phase: number;
  readonly summary: Uint8Array;
  readonly firstPiece: number;
  readonly headPieces: number;
  readonly attachmentPieces: number;
  readonly progress: Progress;
  readonly replies: Uint8Array | undefined;
  readonly dot: DotRecord | undefined;
  /** The key of its row in `due`, where it has one. */
  readonly dueAtMs: number | undefined;
}

export interface MessageRow extends Record<string, SqlStorageValue> {
  id: string;
  accepted_at: number;
  phase: number;
  first_piece: number;
  head_pieces: number;
  attachment_pieces: number;
  summary: ArrayBuffer;
  progress: string;
  replies: ArrayBuffer | null;
  dot: string | null;
}

export const MESSAGE_COLUMNS =
  'id, accepted_at, phase, first_piece, head_pieces, attachment_pieces, summary, progress, replies, dot';

export function itemOf(row: MessageRow): LedgerItem {
  const progress: Progress = JSON.parse(row.progress);
  return {
    id: row.id,
    acceptedAtMs: row.accepted_at,
    phase: row.phase,
    summary: new Uint8Array(row.summary),
    firstPiece: row.first_piece,
    headPieces: row.head_pieces,
    attachmentPieces: row.attachment_pieces,
    progress,
    replies: row.replies ? new Uint8Array(row.replies) : undefined,
    dot: row.dot ? JSON.parse(row.dot) : undefined,
    // The key of its row in `due` follows from its progress.
    dueAtMs: row.phase === DUE || row.phase === TEST ? nextDueAt(progress) : undefined,
  };
}

export function publicMessageOf(row: MessageRow, nowMs: number): LedgerMessage {
  const { id, acceptedAtMs, summary, progress, replies } = itemOf(row);
  return {
    id,
    acceptedAtMs,
    summary,
    deliveries: shownDeliveries(progress, nowMs),
    timeline: progress.timeline,
    possibleDuplicates: progress.possibleDuplicates,
    ...(progress.scheduledAtMs === undefined ? {} : { scheduledAtMs: progress.scheduledAtMs }),
    ...(progress.isTest ? { isTest: true } : {}),
    ...(replies ? { replies } : {}),
  };
}

/** Where a message that is not at the dot belongs. */
export function phaseOf(progress: Progress): number {
  const dueAtMs = nextDueAt(progress);
  if (dueAtMs !== undefined && progress.isTest) return TEST;
  if (dueAtMs !== undefined) return dueAtMs > 0 ? DUE : WAITING;
  return progress.deliveries.some((delivery) => delivery.status === 'in_doubt') ? HELD : CLOSED;
}
