/**
 * The header of a message that came as MIME. It is read for what has to be known (who sends, to whom), and goes
 * out as it came, but for fields that must not travel and for those that a message cannot be without.
 */
import { hasControl, isAscii } from './characters.ts';
import { decodeWords } from './encoded-words.ts';
import { type MailboxList, parseMailboxList } from './mailbox-list.ts';
import type { Mailbox } from './types.ts';

const MAX_FIELDS = 1000;
const MAX_SUBJECT = 2000;
/** RFC 5322 section 3.6; of the others only those that decide how a message is read. */
const ONCE = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'message-id',
  'in-reply-to',
  'references',
  'subject',
  'date',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'content-disposition',
  'content-id',
]);
/** Bcc would tell everybody; a return path is written by the server that delivers (RFC 5321 section 4.4). */
const REMOVED = new Set(['bcc', 'return-path']);

/** The message is refused; `about` names the field where it is one of the envelope's. */
export class RawMessageError extends Error {
  override readonly name = 'RawMessageError';
  readonly reason: string;
  readonly about: 'message' | 'from' | 'sender';

  constructor(reason: string, about: 'message' | 'from' | 'sender' = 'message') {
    super(reason);
    this.reason = reason;
    this.about = about;
  }
}

export interface RawHeader {
  readonly from: Mailbox;
  readonly sender: Mailbox | undefined;
  readonly to: MailboxList;
  readonly cc: MailboxList;
  readonly bcc: MailboxList;
  readonly replyTo: MailboxList;
  /** Decoded, for display. */
  readonly subject: string;
  /** The value of the Message-ID field. */
  readonly messageId: string;
  /** True where the header that is sent is not ASCII. */
  readonly smtpUtf8: boolean;
  /** What is sent, with the empty line at its end. */
  readonly bytes: Uint8Array;
}

/** What is added where the message lacks it (RFC 6409 section 8). */
export interface Additions {
  /** The left part of a Message-ID; the domain is that of From. */
  readonly id: string;
  readonly dateMs: number;
}

interface Field {
  /** In lower case. */
  readonly name: string;
  /** As it came, with its line ends. */
  text: string;
}

/** `bytes` have CRLF line ends and end with the empty line, where there is one. */
export function parseRawHeader(bytes: Uint8Array, additions: Additions): RawHeader {
  const fields = splitFields(decodeUtf8(bytes));
  const valueIn = (name: string) => {
    const field = fields.find((candidate) => candidate.name === name);
    return field && unfold(field.text.slice(name.length + 1));
  };
  const from = single(valueIn('from'), 'from', 'the From field is missing');
  const senderValue = valueIn('sender');
  const added: string[] = [];
  const messageId = valueIn('message-id') ?? `<${additions.id}@${from.domain}>`;
  if (valueIn('message-id') === undefined) added.push(`Message-ID: ${messageId}\r\n`);
  if (valueIn('date') === undefined) {
    added.push(`Date: ${new Date(additions.dateMs).toUTCString().replace('GMT', '+0000')}\r\n`);
  }
  const kept = fields.filter(({ name }) => !REMOVED.has(name)).map(({ text }) => text);
  const sent = [...added, ...kept, '\r\n'].join('');
  return {
    from,
    sender:
      senderValue === undefined ? undefined : single(senderValue, 'sender', 'the Sender field is empty'),
    to: parseMailboxList(valueIn('to') ?? ''),
    cc: parseMailboxList(valueIn('cc') ?? ''),
    bcc: parseMailboxList(valueIn('bcc') ?? ''),
    replyTo: parseMailboxList(valueIn('reply-to') ?? ''),
    subject: shownSubject(valueIn('subject') ?? ''),
    messageId,
    smtpUtf8: !isAscii(sent),
    bytes: new TextEncoder().encode(sent),
  };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RawMessageError('its header is neither ASCII nor UTF-8');
  }
}

function splitFields(header: string): Field[] {
  const fields: Field[] = [];
  const seen = new Set<string>();
  const lines = header.split('\r\n');
  for (const line of lines) {
    // The empty line at the end, and what `split` makes of the last line end.
    if (line === '') break;
    const last = fields.at(-1);
    if (line.startsWith(' ') || line.startsWith('\t')) {
      // Some programs take such a line for the end of the header, others do not.
      if (line.trim() === '') throw new RawMessageError('its header has a line of white space only');
      if (!last) throw new RawMessageError('its header starts with a folded line');
      last.text += `${line}\r\n`;
      continue;
    }
    const name = /^([!-9;-~]+):/.exec(line)?.[1]?.toLowerCase();
    if (name === undefined) throw new RawMessageError('its header has a line that is not `Name: value`');
    if (ONCE.has(name) && seen.has(name)) {
      throw new RawMessageError(
        `its header has the field \`${name}\` twice`,
        name === 'from' ? 'from' : 'message',
      );
    }
    // They would say that somebody else sent it again, and to whom.
    if (name.startsWith('resent-')) throw new RawMessageError('its header has Resent fields');
    if (fields.length >= MAX_FIELDS)
      throw new RawMessageError(`its header has more than ${MAX_FIELDS} fields`);
    seen.add(name);
    fields.push({ name, text: `${line}\r\n` });
  }
  return fields;
}

/** Folding is taken back; nothing else is changed. */
function unfold(text: string): string {
  return text.replaceAll('\r\n', '').replace(/^[ \t]+|[ \t]+$/g, '');
}

function single(value: string | undefined, about: 'from' | 'sender', missing: string): Mailbox {
  const list = parseMailboxList(value ?? '');
  if (!list.ok) throw new RawMessageError(list.reason, about);
  const [mailbox, second] = list.mailboxes;
  if (!mailbox) throw new RawMessageError(missing, about);
  if (second) throw new RawMessageError('there must be one address only', about);
  return mailbox;
}

function shownSubject(value: string): string {
  const text = decodeWords(value).slice(0, MAX_SUBJECT).toWellFormed();
  return hasControl(text) ? text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ') : text;
}
