import { Hono } from 'hono';
import * as z from 'zod';
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

const fields = {
  name: z.string().max(200),
  host: z.string().min(1).max(255),
  port: z.int().min(1).max(65535),
  tls: z.enum(['implicit', 'starttls', 'none']),
  username: plainText(320).nullable(),
  password: plainText(4096).nullable(),
  auth: z.enum(['auto', 'plain', 'login', 'cram-md5', 'xoauth2']),
};

const createBody = z.strictObject({
  name: fields.name.optional(),
  host: fields.host,
  port: fields.port.default(587),
  tls: fields.tls.optional(),
  username: fields.username.optional(),
  password: fields.password.optional(),
  auth: fields.auth.optional(),
});
const updateBody = z.strictObject(fields).partial();

type Relay = Awaited<ReturnType<typeof service.getRelay>>;

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
    created_at: isoTime(relay.createdAt),
    updated_at: isoTime(relay.updatedAt),
  };
}

export const relayRoutes = new Hono<AppTypes>()
  .post('/', jsonBody(createBody), async (c) => {
    const body = c.req.valid('json');
    const relay = await service.createRelay(serviceContextOf(c), { ...body, name: body.name ?? body.host });
    return c.json(relayBody(relay), 201);
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await service.listRelays(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, relayBody));
  })
  .get('/:id', async (c) => c.json(relayBody(await service.getRelay(serviceContextOf(c), c.req.param('id')))))
  .patch('/:id', jsonBody(updateBody), async (c) => {
    const relay = await service.updateRelay(serviceContextOf(c), c.req.param('id'), c.req.valid('json'));
    return c.json(relayBody(relay));
  })
  .delete('/:id', async (c) => {
    const id = c.req.param('id');
    await service.deleteRelay(serviceContextOf(c), id);
    return c.json({ object: 'relay', id, deleted: true });
  })
  .post('/:id/verify', async (c) => {
    const result = await verifyRelay(serviceContextOf(c), c.req.param('id'));
    return c.json({ object: 'relay_verification', ...result });
  });
