/** The attachments of sent mail, as long as its content is kept. */
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import { attachmentId, parseMessageId } from '../ids.ts';
import type { Attachment } from '../mime/types.ts';
import { openAttachment, outboxOf } from '../outbox/client.ts';
import { findAccountState, getDataKeys } from './account-state.ts';
import { type LinkToken, newLinkToken, openLinkToken } from './link-token.ts';
import type { Page, PageOf } from './listing.ts';
import { type EmailDetail, getEmail } from './read-emails.ts';
import type { ServiceContext } from './service-context.ts';

const LINK_LIFETIME_MS = 60 * 60 * 1000;

export interface EmailAttachment extends Attachment {
  readonly id: string;
  /** Its place in the email. */
  readonly index: number;
}

/** In the order of the email. Throws where the email, or its content, is gone. */
export async function listAttachments(
  context: ServiceContext,
  emailId: string,
  { limit, after, before }: PageOf,
): Promise<Page<EmailAttachment>> {
  const all = attachmentsOf(await getEmail(context, emailId));
  const placeOf = (field: 'after' | 'before', id: string) => {
    const place = all.findIndex((attachment) => attachment.id === id);
    if (place < 0) throw new AppError('invalid_field', { field, reason: 'is no attachment of this email' });
    return place;
  };
  if (before !== undefined) {
    const end = placeOf('before', before);
    const start = Math.max(0, end - limit);
    return { rows: all.slice(start, end), hasMore: start > 0 };
  }
  const start = after === undefined ? 0 : placeOf('after', after) + 1;
  return { rows: all.slice(start, start + limit), hasMore: all.length > start + limit };
}

export async function getAttachment(
  context: ServiceContext,
  emailId: string,
  id: string,
): Promise<EmailAttachment> {
  const found = attachmentsOf(await getEmail(context, emailId)).find((attachment) => attachment.id === id);
  if (!found) throw new AppError('not_found', { what: 'Attachment' });
  return found;
}

/** A link to download one with, which needs no API key. */
export function linkTo({ env, scope }: ServiceContext, emailId: string, index: number): LinkToken {
  const { accountId } = scope;
  return newLinkToken(env, {
    purpose: 'attachment',
    accountId,
    subject: `${emailId},${index}`,
    lifetimeMs: LINK_LIFETIME_MS,
  });
}

/** The attachment that a link is for, and its bytes, of which never more than a piece is in memory. */
export async function openAttachmentLink(
  env: Env,
  token: string,
  requestId: string,
): Promise<{ readonly attachment: EmailAttachment; readonly bytes: AsyncGenerator<Uint8Array> }> {
  const link = openLinkToken(env, 'attachment', token);
  const account = link && (await findAccountState(env, link.scope));
  if (!account || account.status === 'closed') throw new AppError('not_found', { what: 'Attachment' });
  const { scope, subject } = link;
  const [emailId = '', index = ''] = subject.split(',');
  return readAttachment({ env, scope, actor: { kind: 'link' }, requestId }, emailId, Number(index));
}

async function readAttachment(
  context: ServiceContext,
  emailId: string,
  index: number,
): Promise<{ readonly attachment: EmailAttachment; readonly bytes: AsyncGenerator<Uint8Array> }> {
  const { env, scope } = context;
  const all = attachmentsOf(await getEmail(context, emailId));
  const attachment = all[index];
  if (!attachment) throw new AppError('not_found', { what: 'Attachment' });
  const { sizeBytes } = attachment;
  const offset = all.slice(0, index).reduce((sum, before) => sum + before.sizeBytes, 0);
  const outbox = outboxOf(env, scope.accountId, parseMessageId(emailId)?.shard);
  const bytes = openAttachment(
    await getDataKeys(context),
    { accountId: scope.accountId, id: emailId },
    { offset, sizeBytes },
    async (piece) => {
      const sealed = await outbox.findAttachmentPiece(emailId, piece);
      if (!sealed) throw new AppError('content_gone');
      return sealed;
    },
  );
  return { attachment, bytes };
}

function attachmentsOf({ message, head }: EmailDetail): EmailAttachment[] {
  if (!head) throw new AppError('content_gone');
  return head.attachments.map((attachment, index) => ({
    ...attachment,
    id: attachmentId(message.id, index),
    index,
  }));
}
