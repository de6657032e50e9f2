import * as z from 'zod';
import {
  deletedOf,
  describeFields,
  EXAMPLE_TIME,
  exampleId,
  examplePage,
  idOf,
  isoTime,
  PAGE_TEXTS,
  pageOf,
  type ResourceDocs,
} from '../docs/resource-docs.ts';
import { createTopicBody, topicQuery, updateTopicBody } from './topics.ts';

const id = exampleId('topic');
const FIELDS = {
  name: 'At most 50 characters.',
  description: 'At most 200 characters.',
  visibility: 'Whether people see it on their preference page.',
} as const;
const fields = {
  id: idOf('topic'),
  name: z.string(),
  description: z.string().nullable(),
  default_subscription: z.enum(['opt_in', 'opt_out']),
  visibility: z.enum(['public', 'private']),
  created_at: isoTime,
};
const example = {
  id,
  name: 'News',
  description: null,
  default_subscription: 'opt_in',
  visibility: 'public',
  created_at: EXAMPLE_TIME,
};
const changed = z.object({ object: z.literal('topic'), id: idOf('topic') });

export const topicDocs: ResourceDocs = {
  tag: 'Topics',
  description: 'What contacts can subscribe to. Names and descriptions are sealed at rest.',
  operations: {
    'POST /v1/topics': {
      operationId: 'createTopic',
      summary: 'Create a topic',
      body: {
        schema: describeFields(createTopicBody, {
          ...FIELDS,
          default_subscription: 'What holds for contacts who chose nothing. It cannot be changed.',
        }),
        example: { name: 'News', default_subscription: 'opt_in', visibility: 'public' },
      },
      responses: { 201: { description: 'The topic.', schema: changed, example: { object: 'topic', id } } },
      errors: ['conflict', 'account_unconfirmed'],
    },
    'GET /v1/topics': {
      operationId: 'listTopics',
      summary: 'List the topics',
      query: describeFields(topicQuery, PAGE_TEXTS),
      responses: {
        200: {
          description: 'All topics, unless a limit is given.',
          schema: pageOf(z.object(fields)),
          example: examplePage(example),
        },
      },
    },
    'GET /v1/topics/:id': {
      operationId: 'getTopic',
      summary: 'Read a topic',
      responses: {
        200: {
          description: 'The topic.',
          schema: z.object({ object: z.literal('topic'), ...fields }),
          example: { object: 'topic', ...example },
        },
      },
    },
    'PATCH /v1/topics/:id': {
      operationId: 'updateTopic',
      summary: 'Change a topic',
      body: {
        schema: describeFields(updateTopicBody, { ...FIELDS, id: 'Is not used.' }),
        example: { name: 'Renamed' },
      },
      responses: {
        200: { description: 'It is changed.', schema: changed, example: { object: 'topic', id } },
      },
      errors: ['conflict'],
    },
    'DELETE /v1/topics/:id': {
      operationId: 'deleteTopic',
      summary: 'Delete a topic',
      responses: {
        200: {
          description: 'It is gone.',
          schema: deletedOf('topic', 'topic'),
          example: { object: 'topic', id, deleted: true },
        },
      },
    },
  },
};
