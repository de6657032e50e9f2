/** From a sealed ledger item to something a session can send. */
import { createHash } from 'node:crypto';
import { keyedHash, type SealingKey, sealedKeyNumber } from '../crypto/seal.ts';
import { openRecipients, startOf } from '../delivery/progress.ts';
import { compose } from '../mime/compose.ts';
import { inPieces } from '../mime/message-stream.ts';
import type { ComposedMessage, Mailbox } from '../mime/types.ts';
import type { Envelope } from '../smtp/types.ts';

import { isErasedMailbox } from './erasures/what-is-left.ts';
import type { LedgerItem } from './ledger/message-row.ts';
import type { MessageTable } from './ledger/message-table.ts';
import {
  type MessageSummary,
  openAttachment,
  openHead,
  type RawContent,
  recipientsOf,
} from './message-content.ts';

/** Up to this size a message is composed ahead and held whole; above it, it is composed while it is sent. */
const WHOLE_BYTES = 256 * 1024;

export interface PreparedMessage {
  readonly item: LedgerItem;
  /** Indexes of the recipients in the envelope, in its order. */
  readonly recipients: readonly number[];
  readonly envelope: Envelope;
  /** True where the body is streamed and its hash is known only at its end. */
  readonly streamed: boolean;
  /** The body in pieces, CRLF line ends, before dot-stuffing. May be read once. */
  readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** SHA-256 of the body in hex, once it was read to its end. */
  readonly sha256: () => string;
}

export async function prepareMessage(
  messages: MessageTable,
  item: LedgerItem,
  summary: MessageSummary,
  account: { accountId: string; keys: readonly SealingKey[] },
): Promise<PreparedMessage> {
  const { keys, accountId } = account;
  const identity = { accountId, id: item.id };
  const head = openHead(keys, identity, messages.takeHead(item));
  let offset = 0;
  const ranges = head.attachments.map(({ sizeBytes }) => {
    const range = { offset, sizeBytes };
    offset += sizeBytes;
    return range;
  });
  const bytesOf = (range: { offset: number; sizeBytes: number }) =>
    openAttachment(keys, identity, range, (piece) => messages.readPiece(item, 'attachments', piece));
  const isThere = (mailbox: Mailbox) => !isErasedMailbox(mailbox);
  const composed = head.raw
    ? rawMessage(head.raw, bytesOf)
    : await compose(
        {
          from: summary.from,
          to: summary.to.filter(isThere),
          cc: summary.cc.filter(isThere),
          replyTo: summary.replyTo,
          subject: summary.subject,
          ...head,
          messageId: messageIdOf(item.id, summary.from.domain),
          dateMs: startOf(item.progress, item.acceptedAtMs),
          // Most messages have no boundary.
          get boundarySeed() {
            return boundarySeedOf(keys, item);
          },
        },
        (index) => bytesOf(ranges[index] ?? { offset: 0, sizeBytes: 0 }),
      );
  const all = recipientsOf(summary);
  const recipients = openRecipients(item.progress);
  const mailboxes = [summary.from, ...summary.to, ...summary.cc, ...summary.replyTo];
  const envelopeMailboxes = recipients.flatMap((index) => all[index] ?? []);
  return {
    item,
    recipients,
    envelope: {
      from: summary.envelopeFrom,
      recipients: envelopeMailboxes.map((mailbox) => mailbox.address),
      sizeBytes: composed.sizeBytes,
      eightBit: composed.eightBit,
      smtpUtf8:
        head.raw?.smtpUtf8 === true ||
        [...mailboxes, ...envelopeMailboxes].some((mailbox) => mailbox.smtpUtf8),
    },
    ...(await bodyOf(composed)),
  };
}

/** A message that came as MIME is sent as it lies there. */
function rawMessage(
  { sizeBytes, eightBit }: RawContent,
  bytesOf: (range: { offset: number; sizeBytes: number }) => AsyncIterable<Uint8Array>,
): ComposedMessage {
  return { sizeBytes, eightBit, pieces: inPieces(() => bytesOf({ offset: 0, sizeBytes })) };
}

/** The Message-ID header's value, without angle brackets. */
export function messageIdOf(id: string, fromDomain: string): string {
  return `${id}@${fromDomain}`;
}

async function bodyOf(
  composed: ComposedMessage,
): Promise<Pick<PreparedMessage, 'streamed' | 'body' | 'sha256'>> {
  const hash = createHash('sha256');
  const { whole } = composed;
  if (whole) {
    const sha256 = hash.update(whole).digest('hex');
    return { streamed: false, body: [whole], sha256: () => sha256 };
  }
  const streamed = composed.sizeBytes > WHOLE_BYTES;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const piece of composed.pieces) {
      hash.update(piece);
      yield piece;
    }
  }
  if (streamed) return { streamed, body: hashed(), sha256: () => hash.digest('hex') };
  const pieces: Uint8Array[] = [];
  for await (const piece of hashed()) pieces.push(piece);
  const sha256 = hash.digest('hex');
  return { streamed, body: pieces, sha256: () => sha256 };
}

/** Unguessable for others and the same for every copy: from the key that sealed the message. */
function boundarySeedOf(keys: readonly SealingKey[], item: LedgerItem): string {
  const number = sealedKeyNumber(item.summary);
  const key = keys.find((candidate) => candidate.number === number);
  if (!key) throw new Error('the key of a message is missing');
  return Buffer.from(keyedHash(key, 'boundary', item.id)).toString('hex');
}
