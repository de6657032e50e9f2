import { Hono } from 'hono';
import * as z from 'zod';
import * as service from '../../services/topics.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, limitQuery, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

const fields = {
  name: z.string().trim().min(1).max(50),
  description: z.string().max(200).nullable(),
  visibility: z.enum(['public', 'private']),
};
export const createTopicBody = z.strictObject({
  name: fields.name,
  description: fields.description.optional(),
  default_subscription: z.enum(['opt_in', 'opt_out']),
  visibility: fields.visibility.optional(),
});
export const updateTopicBody = z.strictObject({
  // The SDK says once more which one it means.
  id: z.string().max(64).optional(),
  name: fields.name.optional(),
  description: fields.description.optional(),
  visibility: fields.visibility.optional(),
});
/** The SDK asks for no page: it gets all that an account can have. */
export const topicQuery = pageQuery.safeExtend({
  limit: limitQuery.default(service.MAX_TOPICS),
});

function topicBody(topic: service.Topic) {
  return {
    id: topic.id,
    name: topic.name,
    description: topic.description,
    default_subscription: topic.defaultSubscription,
    visibility: topic.visibility,
    created_at: isoTime(topic.createdAt),
  };
}

export const topicRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createTopicBody), async (c) => {
    const { name, description = null, default_subscription, visibility = 'private' } = c.req.valid('json');
    const input = { name, description, defaultSubscription: default_subscription, visibility };
    const id = await service.createTopic(serviceContextOf(c), input);
    return c.json({ object: 'topic', id }, 201);
  })
  .get('/', queryOf(topicQuery), async (c) => {
    return c.json(listBody(await service.listTopics(serviceContextOf(c), c.req.valid('query')), topicBody));
  })
  .get('/:id', async (c) => {
    const topic = await service.getTopic(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'topic', ...topicBody(topic) });
  })
  .patch('/:id', jsonBody(updateTopicBody), async (c) => {
    const id = c.req.param('id');
    const { id: _again, ...change } = c.req.valid('json');
    await service.updateTopic(serviceContextOf(c), id, change);
    return c.json({ object: 'topic', id });
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteTopic(serviceContextOf(c), id);
    return c.json({ object: 'topic', id, deleted: true });
  });
