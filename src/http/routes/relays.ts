import { Hono } from 'hono';
import * as z from 'zod';
import type { RelayUse } from '../../outbox/client.ts';
import { readRelayHealth } from '../../services/relay-health.ts';
import * as service from '../../services/relays.ts';
import { verifyRelay } from '../../services/verify-relay.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody } from '../json-body.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { queryOf } from '../validation.ts';

/** CR, LF and NUL have no place in anything that goes into an SMTP command. */
const plainText = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => [...text].every((character) => character >= ' ' && character !== '\x7f'), {
      message: 'must not contain control characters',
    });

const limit = (max: number) => z.int().min(1).max(max).nullable();
const limits = z
  .strictObject({
    sessions: limit(1000),
    per_second: limit(10_000),
    per_minute: limit(600_000),
    per_day: limit(1_000_000_000),
    per_session: limit(1_000_000),
  })
  .partial()
  .nullable();

const fields = {
  name: z.string().max(200),
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65535),
  tls: z.enum(['implicit', 'starttls', 'none']),
  username: plainText(320).nullable(),
  password: plainText(4096).nullable(),
  auth: z.enum(['auto', 'plain', 'login', 'cram-md5', 'xoauth2']),
  priority: z.int().min(0).max(1000),
  weight: z.int().min(1).max(1000),
  from_domains: z.array(z.string().max(512)).max(100),
  limits,
};

export const updateRelayBody = z.strictObject(fields).partial();
export const createRelayBody = updateRelayBody.extend({ host: fields.host, port: fields.port.default(587) });

type Relay = Awaited<ReturnType<typeof service.getRelay>>;

/** What the service calls otherwise. */
function inputOf<T extends z.output<typeof updateRelayBody>>(body: T) {
  const { from_domains: fromDomains, limits: wanted, ...rest } = body;
  return {
    ...rest,
    fromDomains,
    limits: wanted && {
      sessions: wanted.sessions,
      perSecond: wanted.per_second,
      perMinute: wanted.per_minute,
      perDay: wanted.per_day,
      perSession: wanted.per_session,
    },
  };
}

/** The password is write-only: `has_password` is all that is ever told of it. */
function relayBody(relay: Relay) {
  return {
    object: 'relay',
    id: relay.id,
    name: relay.name,
    host: relay.host,
    port: relay.port,
    tls: relay.tls,
    username: relay.username,
    has_password: relay.sealedSecret !== null,
    auth: relay.auth,
    priority: relay.priority,
    weight: relay.weight,
    from_domains: relay.fromDomains,
    limits: {
      sessions: relay.limits.sessions,
      per_second: relay.limits.perSecond,
      per_minute: relay.limits.perMinute,
      per_day: relay.limits.perDay,
      per_session: relay.limits.perSession,
    },
    created_at: isoTime(relay.createdAt),
    updated_at: isoTime(relay.updatedAt),
  };
}

function healthBody(id: string, use: RelayUse) {
  const { lastFault } = use;
  return {
    object: 'relay_health',
    relay: id,
    breaker: use.breaker,
    reopens_at: use.reopensAtMs === undefined ? null : isoTime(use.reopensAtMs),
    last_error: lastFault
      ? { at: isoTime(lastFault.atMs), reason: lastFault.reason, code: lastFault.code ?? null }
      : null,
    open_sessions: use.openSessions,
    delivered_last_minute: use.deliveredLastMinute,
  };
}

export const relayRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createRelayBody), async (c) => {
    const body = c.req.valid('json');
    const input = { ...inputOf(body), name: body.name ?? body.host };
    const relay = await service.createRelay(serviceContextOf(c), input);
    return c.json(relayBody(relay), 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listRelays(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, relayBody));
  })
  .get('/:id', async (c) => c.json(relayBody(await service.getRelay(serviceContextOf(c), c.req.param('id')))))
  .patch('/:id', jsonBody(updateRelayBody), async (c) => {
    const change = inputOf(c.req.valid('json'));
    const relay = await service.updateRelay(serviceContextOf(c), c.req.param('id'), change);
    return c.json(relayBody(relay));
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteRelay(serviceContextOf(c), id);
    return c.json({ object: 'relay', id, deleted: true });
  })
  .get('/:id/health', async (c) => {
    const id = c.req.param('id');
    return c.json(healthBody(id, await readRelayHealth(serviceContextOf(c), id)));
  })
  .post('/:id/verify', async (c) => {
    const result = await verifyRelay(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'relay_verification', ...result });
  });
