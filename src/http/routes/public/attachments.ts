import { Hono } from 'hono';
import { openAttachmentLink } from '../../../services/email-attachments.ts';
import type { AppTypes } from '../../app-types.ts';
import { streamOf } from '../../stream-body.ts';

/** The links of `GET /v1/emails/{id}/attachments`: no key, a signed token that expires instead. */
export const attachmentDownloadRoutes = new Hono<AppTypes>().get('/:token', async (c) => {
  const { attachment, bytes } = await openAttachmentLink(c.env, c.req.param('token'), c.get('requestId'));
  // Of a known length, so that a download that broke off is not taken for a whole one.
  const body = new FixedLengthStream(attachment.sizeBytes);
  c.executionCtx.waitUntil(
    streamOf(bytes)
      .pipeTo(body.writable)
      .catch(() => undefined),
  );
  return c.body(body.readable, 200, {
    'content-type': attachment.contentType,
    'content-disposition': dispositionOf(attachment.filename),
    // A customer's file is opened in nobody's name: not as a page of this host, and not as another type.
    'content-security-policy': "sandbox; default-src 'none'",
    'referrer-policy': 'no-referrer',
  });
});

/** RFC 6266: the name as it is for those who read `filename*`, and its ASCII letters for the others. */
export function dispositionOf(filename: string): string {
  const plain = filename.replace(/[^A-Za-z0-9 ._()-]/g, '_');
  const exact = encodeURIComponent(filename).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}
