import { Hono } from 'hono';
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import { listContacts } from '../../services/contact-pages.ts';
import * as service from '../../services/contacts.ts';
import { listListsOfContact } from '../../services/lists.ts';
import { joinList, leaveList } from '../../services/memberships.ts';
import { listTopicsOfContact } from '../../services/topics.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';
import {
  contactBody,
  contactQuery,
  contactSummary,
  createContactBody,
  givenChanges,
  givenContact,
  listIdsOf,
  topicChoices,
  updateContactBody,
} from './contact-fields.ts';

// The SDK sends the choices themselves, the API's description says an object.
export const updateTopicsBody = z.union([topicChoices, z.strictObject({ topics: topicChoices })]);

export const contactRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createContactBody), async (c) => {
    const body = c.req.valid('json');
    const listIds = [
      ...listIdsOf(body.segments ?? []),
      ...(body.audience_id === undefined ? [] : [body.audience_id]),
    ];
    const given = { ...givenContact(body), listIds, topics: body.topics ?? [] };
    const fieldOf = (index: number) =>
      index < (body.segments?.length ?? 0) ? `segments[${index}].id` : 'audience_id';
    const id = await service.createContact(serviceContextOf(c), given, fieldOf);
    return c.json({ object: 'contact', id }, 201);
  })
  .get('/', queryOf(contactQuery), async (c) => {
    const { segment_id: listId, ...query } = c.req.valid('query');
    return c.json(listBody(await listContacts(serviceContextOf(c), { ...query, listId }), contactSummary));
  })
  .get('/:id', async (c) => {
    const { contact, values } = await service.describeContact(serviceContextOf(c), c.req.param('id'));
    return c.json(contactBody(contact, values));
  })
  .patch('/:id', jsonBody(updateContactBody), async (c) => {
    const body = c.req.valid('json');
    const given = { ...givenChanges(body), email: body.email };
    const id = await service.updateContact(serviceContextOf(c), c.req.param('id'), given);
    return c.json({ object: 'contact', id });
  })
  .delete('/:id', async (c) => {
    const given = c.req.param('id');
    const id = await service.deleteContact(serviceContextOf(c), given);
    if (id === undefined) throw new AppError('not_found', { what: 'Contact' });
    return c.json({ object: 'contact', id, contact: given, deleted: true });
  })
  .get('/:id/segments', queryOf(pageQuery), async (c) => {
    const context = serviceContextOf(c);
    const { id } = await service.getContact(context, c.req.param('id'));
    const page = await listListsOfContact(context, id, c.req.valid('query'));
    return c.json(
      listBody(page, ({ id, name, createdAt, status }) => {
        return { id, name, created_at: isoTime(createdAt), status };
      }),
    );
  })
  .post('/:id/segments/:segment', async (c) => {
    const { id, segment } = c.req.param();
    const contact = await joinList(serviceContextOf(c), id, segment);
    return c.json({ object: 'contact_segment', id: segment, contact_id: contact, segment_id: segment });
  })
  .delete('/:id/segments/:segment', async (c) => {
    const { id, segment } = c.req.param();
    const contact = await leaveList(serviceContextOf(c), id, segment);
    const ids = { id: segment, audienceId: segment, contact_id: contact, segment_id: segment };
    return c.json({ object: 'contact_segment', ...ids, deleted: true });
  })
  .get('/:id/topics', queryOf(pageQuery), async (c) => {
    const context = serviceContextOf(c);
    const { id } = await service.getContact(context, c.req.param('id'));
    const page = await listTopicsOfContact(context, id, c.req.valid('query'));
    return c.json(
      listBody(page, ({ id, name, description, subscription }) => ({ id, name, description, subscription })),
    );
  })
  .patch('/:id/topics', jsonBody(updateTopicsBody), async (c) => {
    const body = c.req.valid('json');
    const choices = 'topics' in body ? body.topics : body;
    const fieldOf = (index: number) => ('topics' in body ? `topics[${index}].id` : `[${index}].id`);
    const id = await service.updateTopics(serviceContextOf(c), c.req.param('id'), choices, fieldOf);
    return c.json({ object: 'contact', id, contact_id: id, topics: choices });
  });
