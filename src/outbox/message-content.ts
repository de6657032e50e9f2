/**
 * What a message is made of while it lies on the ledger, and how it is sealed there.
 *
 * - The *summary* (addresses, subject, tags) answers listings and lives as long as the message's metadata.
 * - The *head* (texts, headers, attachment names) and the *attachment bytes* are what the body is composed
 *   from, and are dropped with the body's retention. Both are cut into pieces of at most 1 MiB before
 *   sealing: a row holds at most 2 MB, and a large message is never in memory whole.
 *
 * Message-ID, Date and boundaries are not stored: they follow from the id, the time of acceptance and the key.
 */
import { createHmac } from 'node:crypto';
import { releaseBytes } from '../crypto/release-bytes.ts';
import {
  keyedHash,
  newestKey,
  type SealedPlace,
  type SealingKey,
  seal,
  sealAsync,
  sealedKeyNumber,
  unseal,
} from '../crypto/seal.ts';
import type { Rejection } from '../delivery/progress.ts';
import type { Attachment, Mailbox } from '../mime/types.ts';

export const PIECE_BYTES = 1024 * 1024;

export interface MessageSummary {
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
  /** The return path of the sender's domain, else the bare From. */
  readonly envelopeFrom: string;
  /** The only relay that may carry it. */
  readonly relayId?: string;
  /** What it is about: who does not want that gets no copy. */
  readonly topicId?: string;
  /** What to do about doubt; absent: as the account says. */
  readonly inDoubtPolicy?: 'retry' | 'hold';
  /** What it was rendered from. */
  readonly templateId?: string;
  /** What it is a part of. */
  readonly broadcastId?: string;
  /** Whom it was made for, where that is known. */
  readonly contactId?: string;
  /** Recipients that are reported and not mailed; their deliveries follow those of the others. */
  readonly rejected?: readonly RejectedRecipient[];
}

export interface RejectedRecipient {
  /** As it was given, where it is no address. */
  readonly address: string;
  readonly reason: Rejection;
}

export interface MessageHead {
  readonly text?: string;
  readonly html?: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly Attachment[];
  /** Present: nothing is composed. The attachment bytes are the message itself. */
  readonly raw?: RawContent;
}

/** What has to be known of a message that came as MIME. */
export interface RawContent {
  readonly sizeBytes: number;
  /** It has octets above 127: the server must offer 8BITMIME. */
  readonly eightBit: boolean;
  /** Its header has them: the server must offer SMTPUTF8. */
  readonly smtpUtf8: boolean;
  /** The value of its Message-ID field. */
  readonly messageId: string;
}

/** What a message is made of, before it is sealed. */
export interface MessageContent {
  readonly summary: MessageSummary;
  readonly head: MessageHead;
  /** Go behind those of the head, and are no part of what the sender said. */
  readonly ownHeaders?: MessageHead['headers'];
  /** Empty where they were staged. */
  readonly attachments: readonly Uint8Array[];
  /** The request, where what it means may change: tells it from another in place of summary and head. */
  readonly asGiven?: Uint8Array;
  /** What tells this content from another, in place of head and attachments. */
  readonly fingerprinted?: readonly Uint8Array[];
}

export interface SealedMessage {
  readonly summary: Uint8Array;
  readonly head: readonly Uint8Array[];
  readonly attachments: readonly Uint8Array[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The recipients of a message in the order of its deliveries, each address once. */
export function recipientsOf(summary: MessageSummary): Mailbox[] {
  const unique = new Map<string, Mailbox>();
  for (const mailbox of [...summary.to, ...summary.cc, ...summary.bcc]) {
    if (!unique.has(mailbox.address)) unique.set(mailbox.address, mailbox);
  }
  return [...unique.values()];
}

/** What the recipients are called, in the order of the deliveries: also those that are only reported. */
export function recipientNamesOf(summary: MessageSummary): string[] {
  const rejected = summary.rejected ?? [];
  return [...recipientsOf(summary).map(({ address }) => address), ...rejected.map(({ address }) => address)];
}

/** Seals a message, and fingerprints it for the comparison behind an idempotency key. */
export async function sealMessage(
  key: SealingKey,
  identity: { accountId: string; id: string },
  message: MessageContent,
  /** Asks for a fingerprint, under a key that stays when another starts to seal. */
  fingerprintKey?: SealingKey,
): Promise<SealedMessage & { readonly fingerprint: Uint8Array | undefined }> {
  const summary = encoder.encode(JSON.stringify(message.summary));
  const head = encodeHead(message.head);
  const { asGiven } = message;
  const content = message.fingerprinted ?? [...(asGiven ? [] : [head]), ...message.attachments];
  const fingerprint = fingerprintKey && fingerprintOf(fingerprintKey, [asGiven ?? summary, ...content]);
  const written = withOwnHeaders(message, head);
  return {
    summary: await sealAsync(key, summaryPlace(identity), summary),
    head: await sealPieces(key, identity, 'head', [written]),
    attachments: await sealPieces(key, identity, 'attachments', message.attachments),
    fingerprint,
  };
}

/** One after the other: only one of them is in memory twice. */
async function sealPieces(
  key: SealingKey,
  identity: { accountId: string; id: string },
  part: 'head' | 'attachments',
  sources: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const sealed: Uint8Array[] = [];
  for (const [index, piece] of piecesOf(sources).entries()) {
    sealed.push(await sealAsync(key, piecePlace(identity, part, index), piece));
  }
  return sealed;
}

function withOwnHeaders({ head, ownHeaders = [] }: MessageContent, encoded: Uint8Array): Uint8Array {
  return ownHeaders.length === 0
    ? encoded
    : encodeHead({ ...head, headers: [...head.headers, ...ownHeaders] });
}

/**
 * Of raw mail, only what is said about it. A version of the Worker that knows no raw mail finds no list of
 * attachments then and cannot compose anything: the message waits for the newer version.
 */
export function encodeHead(head: MessageHead): Uint8Array {
  return encoder.encode(JSON.stringify(head.raw ? { raw: head.raw } : head));
}

/** Seals a piece of `PIECE_BYTES` (the last one: less) of the attachment bytes, ahead of its message. */
export function sealPiece(
  key: SealingKey,
  identity: { accountId: string; id: string },
  index: number,
  piece: Uint8Array,
): Uint8Array {
  return seal(key, piecePlace(identity, 'attachments', index), piece);
}

function fingerprintOf(key: SealingKey, parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHmac('sha256', keyedHash(key, 'fingerprint', ''));
  for (const part of parts) hash.update(`${part.byteLength}:`).update(part);
  return new Uint8Array(hash.digest());
}

export function openSummary(
  keys: readonly SealingKey[],
  identity: { accountId: string; id: string },
  sealed: Uint8Array,
): MessageSummary {
  return JSON.parse(decoder.decode(unseal(keys, summaryPlace(identity), sealed)));
}

/** Under the key that another seal was made with: what else is derived from that stays. */
export function resealSummary(
  keys: readonly SealingKey[],
  identity: { accountId: string; id: string },
  { summary, like }: { readonly summary: MessageSummary; readonly like: Uint8Array },
): Uint8Array {
  const number = sealedKeyNumber(like);
  const key = keys.find((candidate) => candidate.number === number) ?? newestKey(keys);
  return seal(key, summaryPlace(identity), encoder.encode(JSON.stringify(summary)));
}

export function openHead(
  keys: readonly SealingKey[],
  identity: { accountId: string; id: string },
  sealed: readonly Uint8Array[],
): MessageHead {
  const pieces = sealed.map((piece, index) => unseal(keys, piecePlace(identity, 'head', index), piece));
  const head: MessageHead = JSON.parse(decoder.decode(concatenate(pieces)));
  return head.raw ? { headers: [], attachments: [], raw: head.raw } : head;
}

/** The bytes of one attachment, opening only the pieces it lies in, one after the other. */
export async function* openAttachment(
  keys: readonly SealingKey[],
  identity: { accountId: string; id: string },
  range: { offset: number; sizeBytes: number },
  readPiece: (index: number) => Uint8Array | Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const end = range.offset + range.sizeBytes;
  for (let at = range.offset; at < end; ) {
    const index = Math.floor(at / PIECE_BYTES);
    const sealed = await readPiece(index);
    const piece = unseal(keys, piecePlace(identity, 'attachments', index), sealed);
    releaseBytes(sealed);
    const from = at - index * PIECE_BYTES;
    const part = piece.subarray(from, Math.min(piece.byteLength, from + (end - at)));
    if (part.byteLength === 0) throw new Error('attachment is shorter than recorded');
    at += part.byteLength;
    yield part;
  }
}

/** The last reply texts of a message, by recipient. */
export function sealReplies(
  key: SealingKey,
  identity: { accountId: string; id: string },
  replies: ReadonlyMap<number, string>,
): Uint8Array {
  return seal(key, repliesPlace(identity), encoder.encode(JSON.stringify([...replies])));
}

export function openReplies(
  keys: readonly SealingKey[],
  identity: { accountId: string; id: string },
  sealed: Uint8Array | undefined,
): Map<number, string> {
  return sealed
    ? new Map(JSON.parse(decoder.decode(unseal(keys, repliesPlace(identity), sealed))))
    : new Map();
}

/** Cuts a sequence of byte strings into pieces of `PIECE_BYTES`; copies only where a piece spans two of them. */
function piecesOf(sources: readonly Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const flush = () => {
    if (pendingBytes > 0) pieces.push(concatenate(pending));
    pending = [];
    pendingBytes = 0;
  };
  for (const source of sources) {
    for (let at = 0; at < source.byteLength; ) {
      const part = source.subarray(at, at + PIECE_BYTES - pendingBytes);
      pending.push(part);
      pendingBytes += part.byteLength;
      at += part.byteLength;
      if (pendingBytes === PIECE_BYTES) flush();
    }
  }
  flush();
  return pieces;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

function summaryPlace({ accountId, id }: { accountId: string; id: string }): SealedPlace {
  return { accountId, table: 'messages', column: 'summary', rowId: id };
}

function repliesPlace({ accountId, id }: { accountId: string; id: string }): SealedPlace {
  return { accountId, table: 'messages', column: 'replies', rowId: id };
}

function piecePlace(
  { accountId, id }: { accountId: string; id: string },
  part: 'head' | 'attachments',
  index: number,
): SealedPlace {
  return { accountId, table: 'contents', column: part, rowId: `${id}/${index}` };
}
