/** Accepting a message that came as MIME: read, checked and staged as it comes, then sent like any other. */
import { createHash } from 'node:crypto';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newMessageId } from '../ids.ts';
import { parseMailbox } from '../mime/address.ts';
import type { MailboxList } from '../mime/mailbox-list.ts';
import { type RawHeader, RawMessageError, RawMessageReader } from '../mime/raw-message.ts';
import type { Mailbox } from '../mime/types.ts';
import type { MessageSummary } from '../outbox/client.ts';
import { type DryRun, dryRun } from './dry-run.ts';
import type { EmailDraft } from './email-input.ts';
import { withoutTestAddresses } from './recipients.ts';
import { readScheduledTime, type ScheduledTime } from './scheduled-time.ts';
import { findAllowedDomain, type SendOptions, type Sent, sendEmails } from './send-emails.ts';
import { isTestActor, type ServiceContext } from './service-context.ts';
import { type Content, openUpload } from './upload.ts';

const MAX_RECIPIENTS = 50;
/** Room for the fields that are added. */
const ADDED_BYTES = 1024;

/** What stands beside the message, already checked for shape. */
export interface RawEmailInput {
  /** The envelope sender, in place of the one that follows from the From field. */
  readonly from?: string | undefined;
  /** The recipients, in place of those in To, Cc and Bcc. */
  readonly to?: readonly string[] | undefined;
  readonly tags: readonly { readonly name: string; readonly value: string }[];
  readonly relay?: string | undefined;
  readonly inDoubtPolicy?: 'retry' | 'hold' | undefined;
  readonly scheduledAt?: string | undefined;
}

/** Throws `AppError`; what was staged of a message that is refused is gone by then. */
export async function sendRawEmail(
  context: ServiceContext,
  body: AsyncIterable<Uint8Array>,
  input: RawEmailInput,
  options: SendOptions,
): Promise<Sent> {
  const beside = await readBeside(context, input, options);
  const { envelopeFrom } = beside;
  const upload = await openUpload(context);
  try {
    const received = await receive(context, body, { sink: upload, beside, options });
    const number = upload.endContent();
    await upload.finish();
    const content = upload.contentOf(number);
    if (!content) throw new Error('the message was not read');
    const draft = draftOf(context, received, { input, beside, content });
    return await sendEmails(context, [draft], { ...options, envelopeFrom, id: upload.id });
  } finally {
    await upload.discard();
  }
}

/** The same without sending: held in memory, and nothing is staged. */
export async function dryRunRawEmail(
  context: ServiceContext,
  body: AsyncIterable<Uint8Array>,
  input: RawEmailInput,
  options: Pick<SendOptions, 'boundDomainId'>,
): Promise<DryRun> {
  const beside = await readBeside(context, input, options);
  const { envelopeFrom } = beside;
  const pieces: Uint8Array[] = [];
  const id = newMessageId(0);
  // The bytes are only good until the next piece is read.
  const sink = { id, write: (bytes: Uint8Array) => void pieces.push(bytes.slice()) };
  const received = await receive(context, body, { sink, beside, options });
  const content = Buffer.concat(pieces);
  const draft = draftOf(context, received, { input, beside, content });
  return dryRun(context, draft, { ...options, envelopeFrom, id });
}

/** What stands beside a message and is checked before it is read. */
interface Beside {
  readonly envelopeFrom: string | undefined;
  readonly recipients: readonly Mailbox[] | undefined;
  readonly scheduledTime: ScheduledTime | undefined;
}

async function readBeside(
  context: ServiceContext,
  { from, to, scheduledAt }: RawEmailInput,
  options: SendOptions,
): Promise<Beside> {
  const sender = from === undefined ? undefined : mailboxOf(from, 'from');
  if (sender) await findAllowedDomain(context, sender.domain, options);
  return {
    envelopeFrom: sender?.address,
    recipients: to?.map((text, index) => mailboxOf(text, `to[${index}]`)),
    scheduledTime:
      scheduledAt === undefined ? undefined : readScheduledTime(scheduledAt, 'scheduled_at', Date.now()),
  };
}

function draftOf(
  context: ServiceContext,
  { header, reader, sha256 }: Received,
  from: { readonly input: RawEmailInput; readonly beside: Beside; readonly content: Content },
): EmailDraft {
  const { input, beside, content } = from;
  const { recipients, scheduledTime } = beside;
  const raw = {
    sizeBytes: reader.sizeBytes,
    eightBit: reader.eightBit,
    smtpUtf8: header.smtpUtf8,
    messageId: header.messageId,
  };
  return {
    summary: summaryOf(header, recipients, { ...input, isTest: isTestActor(context.actor) }),
    head: { headers: [], attachments: [], raw },
    attachments: [content],
    // Of the octets as they came: what is added to them differs from request to request.
    fingerprinted: [new TextEncoder().encode('raw'), sha256],
    ...(scheduledTime && { scheduledTime }),
  };
}

interface Received {
  readonly header: RawHeader;
  readonly reader: RawMessageReader;
  readonly sha256: Uint8Array;
}

/** Where a message goes while it is read. */
interface Sink {
  readonly id: string;
  readonly write: (bytes: Uint8Array) => void;
  readonly drain?: () => Promise<void>;
}

async function receive(
  context: ServiceContext,
  body: AsyncIterable<Uint8Array>,
  to: { readonly sink: Sink; readonly beside: Beside; readonly options: SendOptions },
): Promise<Received> {
  const { sink, beside, options } = to;
  const limitBytes = settingsOf(context.env).MESSAGE_LIMIT_BYTES + ADDED_BYTES;
  const hash = createHash('sha256');
  // A Date that is missing is the one of sending, as in mail that is composed.
  const dateMs = beside.scheduledTime?.atMs ?? Date.now();
  const reader = new RawMessageReader({ id: sink.id, dateMs }, (bytes) => sink.write(bytes));
  let isChecked = false;
  for await (const piece of body) {
    hash.update(piece);
    refusing(() => reader.push(piece));
    if (reader.sizeBytes > limitBytes) {
      throw new AppError('invalid_message', { reason: 'with CRLF line ends it is too large' });
    }
    // Before the rest is read.
    if (reader.header && !isChecked) {
      await checkSender(context, reader.header, options);
      isChecked = true;
    }
    await sink.drain?.();
  }
  const header = refusing(() => reader.end());
  if (!isChecked) await checkSender(context, header, options);
  return { header, reader, sha256: new Uint8Array(hash.digest()) };
}

/** A Sender field is shown to the recipient too. */
async function checkSender(context: ServiceContext, header: RawHeader, options: SendOptions): Promise<void> {
  await findAllowedDomain(context, header.from.domain, options);
  if (header.sender) await findAllowedDomain(context, header.sender.domain, options);
}

function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RawMessageError)) throw error;
    const { about, reason } = error;
    if (about === 'from') throw new AppError('invalid_from', { reason });
    throw new AppError('invalid_message', {
      reason: about === 'sender' ? `its Sender field: ${reason}` : reason,
    });
  }
}

function summaryOf(
  header: RawHeader,
  recipients: readonly Mailbox[] | undefined,
  input: RawEmailInput & { readonly isTest: boolean },
): Omit<MessageSummary, 'envelopeFrom'> {
  const { from, subject, replyTo } = header;
  const { rejected, ...named } = withoutTestAddresses(
    recipients ? sorted(header, recipients) : recipientsIn(header),
    input,
  );
  if (named.to.length + named.cc.length + named.bcc.length === 0) {
    throw new AppError('missing_field', { field: 'to' });
  }
  return {
    from,
    ...named,
    replyTo: replyTo.ok ? replyTo.mailboxes : [],
    subject,
    tags: input.tags,
    ...(rejected.length > 0 ? { rejected } : {}),
    ...(input.relay === undefined ? {} : { relayId: input.relay }),
    ...(input.inDoubtPolicy === undefined ? {} : { inDoubtPolicy: input.inDoubtPolicy }),
  };
}

type Recipients = Pick<MessageSummary, 'to' | 'cc' | 'bcc'>;

function recipientsIn(header: RawHeader): Recipients {
  const listOf = (name: string, list: MailboxList) => {
    if (!list.ok) throw new AppError('invalid_message', { reason: `its ${name} field: ${list.reason}` });
    if (list.mailboxes.length > MAX_RECIPIENTS) {
      throw new AppError('invalid_message', {
        reason: `its ${name} field: at most ${MAX_RECIPIENTS} addresses`,
      });
    }
    return list.mailboxes;
  };
  return { to: listOf('To', header.to), cc: listOf('Cc', header.cc), bcc: listOf('Bcc', header.bcc) };
}

/** Recipients that were named beside the message, each under the field that shows it; Bcc where none does. */
function sorted(header: RawHeader, recipients: readonly Mailbox[]): Recipients {
  const isIn = (list: MailboxList, { address }: Mailbox) =>
    list.ok && list.mailboxes.some((mailbox) => mailbox.address === address);
  const to = recipients.filter((mailbox) => isIn(header.to, mailbox));
  const cc = recipients.filter((mailbox) => !to.includes(mailbox) && isIn(header.cc, mailbox));
  return { to, cc, bcc: recipients.filter((mailbox) => !to.includes(mailbox) && !cc.includes(mailbox)) };
}

function mailboxOf(text: string, field: string): Mailbox {
  const parsed = parseMailbox(text);
  if (!parsed.ok) throw new AppError('invalid_field', { field, reason: parsed.reason });
  return parsed.mailbox;
}
