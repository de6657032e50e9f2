import { type Context, Hono } from 'hono';
import {
  type EmailAttachment,
  getAttachment,
  linkTo,
  listAttachments,
} from '../../services/email-attachments.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

export const emailAttachmentRoutes = new Hono<AppTypes>()
  .get('/:id/attachments', queryOf(pageQuery), async (c) => {
    const emailId = c.req.param('id');
    const page = await listAttachments(serviceContextOf(c), emailId, c.req.valid('query'));
    return c.json(listBody(page, (attachment) => attachmentBody(c, emailId, attachment)));
  })
  .get('/:id/attachments/:attachment_id', async (c) => {
    const { id, attachment_id } = c.req.param();
    const attachment = await getAttachment(serviceContextOf(c), id, attachment_id);
    return c.json({ object: 'attachment' as const, ...attachmentBody(c, id, attachment) });
  });

function attachmentBody(c: Context<AppTypes>, emailId: string, attachment: EmailAttachment) {
  const { id, index, filename, contentType, contentId, sizeBytes } = attachment;
  const { token, expiresAtMs } = linkTo(serviceContextOf(c), emailId, index);
  return {
    id,
    filename,
    size: sizeBytes,
    content_type: contentType,
    content_disposition: contentId === undefined ? ('attachment' as const) : ('inline' as const),
    ...(contentId === undefined ? {} : { content_id: contentId }),
    download_url: new URL(`/attachments/${token}`, c.req.url).href,
    expires_at: isoTime(expiresAtMs),
  };
}
