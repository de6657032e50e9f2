/**
 * Where the links lead by which readers end their mail (RFC 8058), or choose it. A GET shows a button and changes
 * nothing, whoever follows the link; only a POST acts. A mail program's POST is taken as it comes, with any body: that
 * somebody does not want a mail must not be lost for the form in which it is said.
 */
import { Hono } from 'hono';
import { logEvent } from '../../../log.ts';
import {
  endEverything,
  findReader,
  listReaderTopics,
  savePreferences,
  subscribeAgain,
  unsubscribe,
} from '../../../services/unsubscribe.ts';
import { type LinkHolder, openUnsubscribeLink } from '../../../services/unsubscribe-links.ts';
import type { AppContext, AppTypes } from '../../app-types.ts';
import { readForm } from '../../form-body.ts';
import { languageOf } from '../../language.ts';
import { pageResponse } from '../../views/page.ts';
import * as views from '../../views/unsubscribe.ts';

export const unsubscribeRoutes = new Hono<AppTypes>()
  .get('/:token', async (c) => {
    const frame = frameOf(c);
    const holder = await open(c);
    if (!holder) return invalid(c, frame);
    const reader = await findReader(holder);
    return pageResponse(
      c,
      reader.isUnsubscribed ? views.unsubscribedPage(frame) : views.askingPage(frame, reader),
    );
  })
  .post('/:token', async (c) => {
    const frame = frameOf(c);
    const holder = await open(c);
    if (holder) await unsubscribe(holder);
    else logEvent('unsubscribe_link_unknown', { request_id: c.get('requestId') });
    // The same for a link that is not ours: there is nothing that the mail program could do about it.
    return pageResponse(c, views.unsubscribedPage(frame));
  })
  .post('/:token/undo', async (c) => {
    const frame = frameOf(c);
    const holder = await open(c);
    if (!holder) return invalid(c, frame);
    await subscribeAgain(holder);
    const reader = await findReader(holder);
    return reader.isUnsubscribed
      ? preferences(c, frame, holder, false)
      : pageResponse(c, views.subscribedPage(frame));
  });

export const preferenceRoutes = new Hono<AppTypes>()
  .get('/:token', async (c) => {
    const frame = frameOf(c);
    const holder = await open(c);
    return holder ? preferences(c, frame, holder, false) : invalid(c, frame);
  })
  .post('/:token', async (c) => {
    const frame = frameOf(c);
    const holder = await open(c);
    if (!holder) return invalid(c, frame);
    const form = await readForm(c);
    const action = form.get('do');
    if (action === 'end') await endEverything(holder);
    if (action === 'save') {
      const choices = { shown: new Set(form.getAll('shown')), wanted: new Set(form.getAll('topic')) };
      await savePreferences(holder, choices);
    }
    return preferences(c, frame, holder, action === 'save');
  });

async function preferences(
  c: AppContext,
  frame: views.Frame,
  holder: LinkHolder,
  isSaved: boolean,
): Promise<Response> {
  const reader = await findReader(holder);
  const topics = await listReaderTopics(holder, reader);
  const isUnsubscribed = reader.contact?.unsubscribed ?? reader.isUnsubscribed;
  return pageResponse(c, views.preferencesPage(frame, { topics, isUnsubscribed, isSaved }));
}

function frameOf(c: AppContext): views.Frame {
  // Of a link that is ours this is the token itself; of another one it may be anything.
  return { language: languageOf(c), token: encodeURIComponent(c.req.param('token') ?? '') };
}

function open(c: AppContext): Promise<LinkHolder | undefined> {
  return openUnsubscribeLink(c.env, c.req.param('token') ?? '', c.get('requestId'));
}

function invalid(c: AppContext, { language }: views.Frame): Promise<Response> {
  return pageResponse(c, views.invalidPage(language), 400);
}
