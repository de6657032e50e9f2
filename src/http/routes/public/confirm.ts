/** Where the link in a confirmation mail leads. GET shows a button and changes nothing; only POST confirms. */
import { Hono } from 'hono';
import { confirmAddress, isConfirmationValid } from '../../../services/register.ts';
import type { AppTypes } from '../../app-types.ts';
import { readForm } from '../../form-body.ts';
import { askingPage, confirmedPage, invalidPage } from '../../views/confirmation.ts';
import { pageResponse } from '../../views/page.ts';

export const confirmRoutes = new Hono<AppTypes>()
  .get('/', async (c) => {
    const token = c.req.query('token') ?? '';
    const isValid = await isConfirmationValid(c.env, token, c.get('requestId'));
    return isValid ? pageResponse(c, askingPage(token)) : pageResponse(c, invalidPage(), 400);
  })
  .post('/', async (c) => {
    const token = (await readForm(c)).get('token') ?? '';
    const isConfirmed = await confirmAddress(c.env, token, c.get('requestId'));
    return isConfirmed ? pageResponse(c, confirmedPage()) : pageResponse(c, invalidPage(), 400);
  });
