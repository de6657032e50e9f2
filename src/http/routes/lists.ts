/** Lists, under the three names they have: our own, the SDK's, and the one it had before. */
import { Hono } from 'hono';
import * as z from 'zod';
import { listContacts } from '../../services/contact-pages.ts';
import * as contacts from '../../services/contacts.ts';
import { LANGUAGES } from '../../services/languages.ts';
import * as service from '../../services/lists.ts';
import { deleteMember, getMember } from '../../services/memberships.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';
import {
  contactBody,
  contactSummary,
  createMemberBody,
  givenChanges,
  givenContact,
  updateContactBody,
} from './contact-fields.ts';

const fields = {
  name: z.string().trim().min(1).max(200),
  // Our own.
  filter: z.record(z.string(), z.unknown()),
  double_opt_in: z.boolean(),
  confirmation_from: z.string().max(1000),
  confirmation_subject: z.string().trim().min(1).max(200).nullable(),
  confirmation_language: z.enum(LANGUAGES),
};
export const createListBody = z.strictObject({
  name: fields.name,
  filter: fields.filter.optional(),
  double_opt_in: fields.double_opt_in.optional(),
  confirmation_from: fields.confirmation_from.optional(),
  confirmation_subject: fields.confirmation_subject.optional(),
  confirmation_language: fields.confirmation_language.optional(),
  audience_id: z.string().max(64).optional(),
});
export const updateListBody = z.strictObject(fields).partial();

function listSummary({ id, name, filter, doubleOptIn, confirmation, createdAt }: service.List) {
  return {
    id,
    name,
    created_at: isoTime(createdAt),
    filter,
    double_opt_in: doubleOptIn,
    confirmation_from: confirmation?.from ?? null,
    confirmation_subject: confirmation?.subject ?? null,
    confirmation_language: confirmation?.language ?? null,
  };
}

function confirmationOf(body: z.output<typeof updateListBody>): { confirmation?: service.ConfirmationInput } {
  const { confirmation_from: from, confirmation_subject: subject, confirmation_language: language } = body;
  const isGiven = from !== undefined || subject !== undefined || language !== undefined;
  return isGiven ? { confirmation: { from, subject, language } } : {};
}

/** `object` is what the resource is called under this path. */
export function listRoutes(object: 'list' | 'segment' | 'audience') {
  return new Hono<AppTypes>()
    .post('/', jsonBody(createListBody), async (c) => {
      const body = c.req.valid('json');
      const { name, filter, double_opt_in: doubleOptIn = false } = body;
      const input = { name, filter, doubleOptIn, ...confirmationOf(body) };
      const list = await service.createList(serviceContextOf(c), input);
      return c.json({ object, ...listSummary(list) }, 201);
    })
    .get('/', queryOf(pageQuery), async (c) => {
      const page = await service.listLists(serviceContextOf(c), c.req.valid('query'));
      return c.json(listBody(page, listSummary));
    })
    .get('/:id', async (c) => {
      const list = await service.getList(serviceContextOf(c), c.req.param('id'));
      return c.json({ object, ...listSummary(list) });
    })
    .patch('/:id', jsonBody(updateListBody), async (c) => {
      const id = c.req.param('id');
      const body = c.req.valid('json');
      const { name, filter, double_opt_in: doubleOptIn } = body;
      const change = { name, filter, doubleOptIn, ...confirmationOf(body) };
      await service.updateList(serviceContextOf(c), id, change);
      return c.json({ object, id });
    })
    .delete('/:id', async (c) => {
      const id = c.req.param('id');
      // Gone is gone: the service that the SDK is of answers so for what never was.
      await service.deleteList(serviceContextOf(c), id);
      return c.json({ object, id, deleted: true });
    })
    .get('/:id/contacts', queryOf(pageQuery), async (c) => {
      const query = { ...c.req.valid('query'), listId: c.req.param('id') };
      return c.json(listBody(await listContacts(serviceContextOf(c), query), contactSummary));
    });
}

/** Contacts as those see them who know them by one list only. */
export const audienceContactRoutes = new Hono<AppTypes>()
  .post('/:audience/contacts', jsonBody(createMemberBody), async (c) => {
    const context = serviceContextOf(c);
    const { id: listId } = await service.getList(context, c.req.param('audience'));
    const given = { ...givenContact(c.req.valid('json')), listIds: [listId], topics: [] };
    const id = await contacts.createContact(context, given, () => 'audience_id');
    return c.json({ object: 'contact', id }, 201);
  })
  .get('/:audience/contacts/:id', async (c) => {
    const context = serviceContextOf(c);
    const { audience, id } = c.req.param();
    const { contact, values } = await contacts.describeContact(
      context,
      await memberId(context, audience, id),
    );
    return c.json(contactBody(contact, values));
  })
  .patch('/:audience/contacts/:id', jsonBody(updateContactBody), async (c) => {
    const context = serviceContextOf(c);
    const { audience, id } = c.req.param();
    const body = c.req.valid('json');
    const given = { ...givenChanges(body), email: body.email };
    const changed = await contacts.updateContact(context, await memberId(context, audience, id), given);
    return c.json({ object: 'contact', id: changed });
  })
  .delete('/:audience/contacts/:id', async (c) => {
    const { audience, id } = c.req.param();
    await deleteMember(serviceContextOf(c), audience, id);
    return c.json({ object: 'contact', id, contact: id, deleted: true });
  });

async function memberId(...[context, listId, idOrEmail]: Parameters<typeof getMember>) {
  return (await getMember(context, listId, idOrEmail)).id;
}
