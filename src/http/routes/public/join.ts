/** Where the link leads that confirms a place on a list. GET shows a button and changes nothing; only POST confirms. */
import { Hono } from 'hono';
import { confirmMembership, findMembership } from '../../../services/confirm-membership.ts';
import type { AppContext, AppTypes } from '../../app-types.ts';
import { languageOf } from '../../language.ts';
import * as views from '../../views/join.ts';
import { pageResponse } from '../../views/page.ts';

export const joinRoutes = new Hono<AppTypes>()
  .get('/:token', async (c) => {
    const language = languageOf(c);
    const token = tokenOf(c);
    const found = await findMembership(c.env, token, c.get('requestId'));
    return found
      ? pageResponse(c, views.joinAskingPage({ language, token }, found.listName))
      : pageResponse(c, views.joinInvalidPage(language), 400);
  })
  .post('/:token', async (c) => {
    const language = languageOf(c);
    const confirmed = await confirmMembership(c.env, tokenOf(c), c.get('requestId'));
    return confirmed
      ? pageResponse(c, views.joinedPage(language, confirmed.listName, confirmed.unsubscribeToken))
      : pageResponse(c, views.joinInvalidPage(language), 400);
  });

function tokenOf(c: AppContext): string {
  return c.req.param('token') ?? '';
}
