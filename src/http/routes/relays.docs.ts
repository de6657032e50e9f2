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
import { pageQuery } from '../pagination.ts';
import { createRelayBody, updateRelayBody } from './relays.ts';

const id = exampleId('relay');
const limit = z.int().min(1).nullable();

const relay = z
  .object({
    object: z.literal('relay'),
    id: idOf('relay'),
    name: z.string(),
    host: z.string(),
    port: z.int().min(1).max(65535),
    tls: z.enum(['implicit', 'starttls', 'none']),
    username: z.string().nullable(),
    has_password: z.boolean().meta({ description: 'All that is ever told of the password.' }),
    auth: z.enum(['auto', 'plain', 'login', 'cram-md5', 'xoauth2']),
    priority: z.int(),
    weight: z.int(),
    from_domains: z.array(z.string()),
    limits: z
      .object({ sessions: limit, per_second: limit, per_minute: limit, per_day: limit, per_session: limit })
      .meta({ description: '`null`: no limit.' }),
    created_at: isoTime,
    updated_at: isoTime,
  })
  .meta({ id: 'Relay' });

const example = {
  object: 'relay',
  id,
  name: 'Provider',
  host: 'smtp.example.net',
  port: 587,
  tls: 'starttls',
  username: 'user',
  has_password: true,
  auth: 'auto',
  priority: 0,
  weight: 1,
  from_domains: [],
  limits: { sessions: 4, per_second: 10, per_minute: null, per_day: null, per_session: null },
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
};

const FIELD_TEXTS = {
  name: 'What the relay is called; its host where it is not given.',
  host: 'A host name that leads to public addresses.',
  port: 'The port of SMTP submission. 25 is not reachable from Workers.',
  tls: '`implicit` from the first byte, `starttls` required, or `none` where the deployment allows it.',
  username: 'Together with `password`, or `null` for a server without authentication.',
  password: 'Write-only, and sealed at rest.',
  auth: 'The mechanism; `auto` takes the best that the server offers.',
  priority: 'The lowest number is used first; others take over where it fails.',
  weight: 'Its part of the mail among relays of the same priority.',
  from_domains: 'Only mail from these domains goes through it; empty: from all.',
  limits: 'How much the server may be given; `null` lifts a limit.',
} as const;

const health = z
  .object({
    object: z.literal('relay_health'),
    relay: idOf('relay'),
    breaker: z.enum(['closed', 'half_open', 'open']).meta({ description: '`closed`: mail flows.' }),
    reopens_at: isoTime.nullable(),
    last_error: z
      .object({ at: isoTime, reason: z.string(), code: z.int().nullable() })
      .nullable()
      .meta({ description: 'The last fault of the server itself, with its SMTP code.' }),
    open_sessions: z.int().min(0),
    delivered_last_minute: z.int().min(0),
  })
  .meta({ id: 'RelayHealth' });

const verification = z
  .object({
    object: z.literal('relay_verification'),
    ok: z.boolean(),
    stage: z
      .enum([
        'connect',
        'banner',
        'ehlo',
        'starttls',
        'tls',
        'auth',
        'mail',
        'rcpt',
        'data',
        'body',
        'dot',
        'rset',
        'quit',
      ])
      .optional()
      .meta({ description: 'Where it failed.' }),
    error: z.string().optional(),
    capabilities: z.array(z.string()),
    transcript: z.array(z.string()).meta({ description: 'What was said, without credentials.' }),
  })
  .meta({ id: 'RelayVerification' });

export const relayDocs: ResourceDocs = {
  tag: 'Relays',
  description: 'The SMTP servers that take the mail of the account.',
  operations: {
    'POST /v1/relays': {
      operationId: 'createRelay',
      summary: 'Add a relay',
      body: {
        schema: describeFields(createRelayBody, FIELD_TEXTS),
        example: {
          name: 'Provider',
          host: 'smtp.example.net',
          port: 587,
          tls: 'starttls',
          username: 'user',
          password: 'secret',
          limits: { sessions: 4, per_second: 10 },
        },
      },
      responses: { 201: { description: 'The relay.', schema: relay, example } },
      errors: ['field_refused', 'host_not_looked_up', 'conflict', 'not_found'],
    },
    'GET /v1/relays': {
      operationId: 'listRelays',
      summary: 'List the relays',
      query: describeFields(pageQuery, PAGE_TEXTS),
      responses: {
        200: { description: 'A page of relays.', schema: pageOf(relay), example: examplePage(example) },
      },
    },
    'GET /v1/relays/:id': {
      operationId: 'getRelay',
      summary: 'Read a relay',
      responses: { 200: { description: 'The relay.', schema: relay, example } },
    },
    'PATCH /v1/relays/:id': {
      operationId: 'updateRelay',
      summary: 'Change a relay',
      description: 'What is not given stays as it is. Mail goes by the new settings within seconds.',
      body: { schema: describeFields(updateRelayBody, FIELD_TEXTS), example: { weight: 3 } },
      responses: {
        200: { description: 'The relay as it is now.', schema: relay, example: { ...example, weight: 3 } },
      },
      errors: ['field_refused', 'host_not_looked_up', 'conflict'],
    },
    'DELETE /v1/relays/:id': {
      operationId: 'deleteRelay',
      summary: 'Delete a relay',
      responses: {
        200: {
          description: 'It is deleted; waiting mail goes by other relays.',
          schema: deletedOf('relay', 'relay'),
          example: { object: 'relay', id, deleted: true },
        },
      },
    },
    'GET /v1/relays/:id/health': {
      operationId: 'getRelayHealth',
      summary: 'Ask how a relay is doing',
      responses: {
        200: {
          description: 'What sending through it has shown.',
          schema: health,
          example: {
            object: 'relay_health',
            relay: id,
            breaker: 'open',
            reopens_at: EXAMPLE_TIME,
            last_error: { at: EXAMPLE_TIME, reason: 'auth', code: 535 },
            open_sessions: 0,
            delivered_last_minute: 0,
          },
        },
      },
    },
    'POST /v1/relays/:id/verify': {
      operationId: 'verifyRelay',
      summary: 'Try a relay now',
      description: 'Connects, greets, upgrades, logs in and quits. Sends no mail.',
      responses: {
        200: {
          description: 'What happened; also where it failed.',
          schema: verification,
          example: {
            object: 'relay_verification',
            ok: true,
            capabilities: ['PIPELINING', '8BITMIME'],
            transcript: ['S: 220 smtp.example.net ESMTP', 'C: EHLO relay.example.com'],
          },
        },
      },
      errors: ['field_refused', 'host_not_looked_up'],
    },
  },
};
