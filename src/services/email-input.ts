/** From the wire form of an email to what the ledger holds. Every refusal names the field. */
import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';
import {
  checkContentId,
  checkContentType,
  checkFilename,
  contentTypeOf,
  parseBase64Strict,
} from '../mime/attachment.ts';
import { checkHeaderText } from '../mime/characters.ts';
import { checkHeaders } from '../mime/header.ts';
import type { Attachment } from '../mime/types.ts';
import type { MessageHead, MessageSummary } from '../outbox/client.ts';
import type { RequestBudget } from '../render/render-template.ts';
import { readMailboxes, readRecipients } from './recipients.ts';
import { readScheduledTime, type ScheduledTime } from './scheduled-time.ts';
import type { UnsubscribeTerms } from './topic-mail.ts';
import type { ReaderLinks } from './unsubscribe-links.ts';
import { type Content, StagedContent } from './upload.ts';

/** Already checked for shape: types, lengths of lists, unknown fields. */
export interface EmailInput {
  readonly from: string;
  readonly to: string | readonly string[];
  readonly cc?: string | readonly string[] | undefined;
  readonly bcc?: string | readonly string[] | undefined;
  readonly reply_to?: string | readonly string[] | undefined;
  readonly subject: string;
  readonly text?: string | undefined;
  readonly html?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tags?: readonly { readonly name: string; readonly value: string }[] | undefined;
  readonly attachments?: readonly AttachmentInput[] | undefined;
  /** The id of a relay; whether the account has it is for `checkNamedRelays`. */
  readonly relay?: string | undefined;
  readonly in_doubt_policy?: 'retry' | 'hold' | undefined;
  /** Whether the account has it is for `withUnsubscribeTerms`. */
  readonly topic_id?: string | null | undefined;
  readonly scheduled_at?: string | undefined;
  /** Any recipient that cannot be mailed refuses the message. */
  readonly strict?: boolean | undefined;
}

export interface ReadOptions {
  /** Goes before each field's name: empty, or `[3].` for the fourth email of a batch. */
  readonly prefix?: string;
  /** Sent with a test key. */
  readonly isTest?: boolean;
  /** One for all the emails of a batch. */
  readonly renderBudget?: RequestBudget;
}

export interface AttachmentInput {
  /** Base64, what JSON makes of a Node Buffer, or what the reader of large bodies made of either. */
  readonly content?: unknown;
  readonly filename?: string | undefined;
  readonly content_type?: string | undefined;
  readonly content_id?: string | undefined;
}

export interface EmailDraft {
  /** Without the envelope sender, which the From domain decides. */
  readonly summary: Omit<MessageSummary, 'envelopeFrom'>;
  readonly head: MessageHead;
  readonly attachments: readonly Content[];
  readonly scheduledTime?: ScheduledTime;
  /** Where its recipient can end such mail; from `withUnsubscribeTerms`. */
  readonly unsubscribe?: UnsubscribeTerms;
  /** What stands in its texts where the links go. */
  readonly linkMarks?: ReaderLinks;
  /** As in `MessageContent`. */
  readonly asGiven?: Uint8Array;
  /** As in `MessageContent`. */
  readonly fingerprinted?: readonly Uint8Array[];
}

const MAX_ATTACHMENTS = 100;
const MAX_ATTACHMENT_BYTES = 25 * 1024 * 1024;
const MAX_TEXT_CHARACTERS = 2 * 1024 * 1024;

/** Every refusal names the field. */
export function readEmail(input: EmailInput, options: ReadOptions = {}): EmailDraft {
  const { prefix = '', isTest = false } = options;
  const from = parseMailbox(input.from);
  if (!from.ok) throw new AppError('invalid_from', { reason: from.reason });
  const { rejected, ...recipients } = readRecipients(input, prefix, {
    strict: input.strict ?? false,
    isTest,
  });
  if (input.text === undefined && input.html === undefined) {
    throw new AppError('missing_field', { field: `${prefix}html\` or \`text` });
  }
  refuseIf(checkHeaderText('subject', input.subject), `${prefix}subject`);
  const { entries, bytes } = readAttachments(input.attachments ?? [], prefix);
  return {
    summary: {
      from: from.mailbox,
      ...recipients,
      replyTo: readMailboxes(input.reply_to, `${prefix}reply_to`),
      subject: input.subject,
      tags: readTags(input.tags ?? [], prefix),
      ...(input.relay === undefined ? {} : { relayId: input.relay }),
      ...(input.in_doubt_policy === undefined ? {} : { inDoubtPolicy: input.in_doubt_policy }),
      ...(input.topic_id == null ? {} : { topicId: input.topic_id }),
      ...(rejected.length === 0 ? {} : { rejected }),
    },
    head: {
      ...body('text', input.text, prefix),
      ...body('html', input.html, prefix),
      headers: readHeaders(input.headers ?? {}, prefix),
      attachments: entries,
    },
    attachments: bytes,
    ...(input.scheduled_at === undefined
      ? {}
      : { scheduledTime: readScheduledTime(input.scheduled_at, `${prefix}scheduled_at`, Date.now()) }),
  };
}

function body(
  field: 'text' | 'html',
  value: string | undefined,
  prefix: string,
): { text?: string; html?: string } {
  if (value === undefined) return {};
  if (value.length > MAX_TEXT_CHARACTERS) {
    throw new AppError('invalid_field', { field: prefix + field, reason: 'longer than 2 Mi characters' });
  }
  if (value.includes('\0')) {
    throw new AppError('invalid_field', { field: prefix + field, reason: 'must not contain NUL' });
  }
  return { [field]: value };
}

function readHeaders(
  headers: Readonly<Record<string, string>>,
  prefix: string,
): { name: string; value: string }[] {
  const list = Object.entries(headers).map(([name, value]) => ({ name, value }));
  refuseIf(checkHeaders(list), `${prefix}headers`);
  return list;
}

function readTags(
  tags: readonly { readonly name: string; readonly value: string }[],
  prefix: string,
): readonly { readonly name: string; readonly value: string }[] {
  const names = new Set<string>();
  tags.forEach(({ name }, index) => {
    if (names.has(name)) {
      throw new AppError('invalid_field', {
        field: `${prefix}tags[${index}].name`,
        reason: 'is given twice',
      });
    }
    names.add(name);
  });
  return tags;
}

function readAttachments(
  inputs: readonly AttachmentInput[],
  prefix: string,
): { entries: Attachment[]; bytes: Content[] } {
  if (inputs.length > MAX_ATTACHMENTS) {
    throw new AppError('invalid_attachment', {
      field: `${prefix}attachments`,
      reason: `at most ${MAX_ATTACHMENTS} attachments`,
    });
  }
  const entries: Attachment[] = [];
  const bytes: Content[] = [];
  let total = 0;
  inputs.forEach((input, index) => {
    const field = `${prefix}attachments[${index}]`;
    const content = attachmentBytes(input.content, `${field}.content`);
    total += content.byteLength;
    if (total > MAX_ATTACHMENT_BYTES) {
      throw new AppError('invalid_attachment', {
        field: `${prefix}attachments`,
        reason: 'more than 25 MiB together, decoded',
      });
    }
    if (input.filename === undefined) throw new AppError('missing_field', { field: `${field}.filename` });
    refuseAttachment(checkFilename(input.filename), `${field}.filename`);
    const contentType = input.content_type ?? contentTypeOf(input.filename);
    refuseAttachment(checkContentType(contentType), `${field}.content_type`);
    if (input.content_id !== undefined)
      refuseAttachment(checkContentId(input.content_id), `${field}.content_id`);
    entries.push({
      filename: input.filename,
      contentType,
      sizeBytes: content.byteLength,
      ...(input.content_id === undefined ? {} : { contentId: input.content_id }),
    });
    bytes.push(content);
  });
  return { entries, bytes };
}

function attachmentBytes(content: unknown, field: string): Content {
  if (content === undefined) throw new AppError('missing_field', { field });
  if (content instanceof Uint8Array || content instanceof StagedContent) return content;
  if (typeof content === 'string') {
    const bytes = parseBase64Strict(content);
    if (bytes) return bytes;
    throw new AppError('invalid_attachment', { field, reason: 'is not valid base64' });
  }
  const data = bufferData(content);
  if (data) return Uint8Array.from(data);
  throw new AppError('invalid_attachment', { field, reason: 'must be base64 text or a Buffer as JSON' });
}

/** `{"type":"Buffer","data":[…]}`: what JSON makes of a Node Buffer. */
function bufferData(content: unknown): number[] | undefined {
  if (typeof content !== 'object' || content === null) return undefined;
  const { type, data } = content as { type?: unknown; data?: unknown };
  if (type !== 'Buffer' || !Array.isArray(data)) return undefined;
  const isBytes = data.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255);
  return isBytes ? data : undefined;
}

function refuseIf(reason: string | undefined, field: string): void {
  if (reason) throw new AppError('invalid_field', { field, reason });
}

function refuseAttachment(reason: string | undefined, field: string): void {
  if (reason) throw new AppError('invalid_attachment', { field, reason });
}
