import { type Context, Hono } from 'hono';
import { settingsOf } from '../../env.ts';
import { AppError } from '../../errors.ts';
import type { readEmail } from '../../services/email-input.ts';
import { getEmail, listEmails } from '../../services/read-emails.ts';
import { checkNamedRelays } from '../../services/relays.ts';
import { resolveDelivery } from '../../services/resolve-delivery.ts';
import { RefusedByLedger, sendEmails } from '../../services/send-emails.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { jsonBody, readJson } from '../json-body.ts';
import { listBody, pageQuery } from '../pagination.ts';
import { queryOf, validate } from '../validation.ts';
import { batch, emailOf, resolution } from './emails-input.ts';
import { detailBody, overviewBody } from './emails-output.ts';

export const emailRoutes = new Hono<AppTypes>()
  .post('/', async (c) => {
    const body = await readJson(c, { limitBytes: settingsOf(c.env).REQUEST_BODY_LIMIT_BYTES });
    const [id] = await send(c, [emailOf(body, '')], () => '');
    return c.json({ id });
  })
  .post('/batch', async (c) => {
    if (c.req.header('x-batch-validation') === 'permissive') {
      throw new AppError('field_not_supported', { field: 'x-batch-validation: permissive' });
    }
    const body = await readJson(c, { limitBytes: settingsOf(c.env).REQUEST_BODY_LIMIT_BYTES });
    const items = validate(batch, body);
    const prefixOf = (index: number) => `[${index}].`;
    const drafts = items.map((item, index) => emailOf(item, prefixOf(index)));
    const ids = await send(c, drafts, prefixOf);
    return c.json({ data: ids.map((id) => ({ id })) });
  })
  .get('/', queryOf(pageQuery), async (c) => {
    const page = await listEmails(serviceContextOf(c), c.req.valid('query'));
    return c.json(listBody(page, overviewBody));
  })
  .get('/:id', async (c) => c.json(detailBody(await getEmail(serviceContextOf(c), c.req.param('id')))))
  .post('/:id/deliveries/:n/resolve', jsonBody(resolution), async (c) => {
    const n = /^\d{1,4}$/.test(c.req.param('n')) ? Number(c.req.param('n')) : undefined;
    const decision = { n, resolution: c.req.valid('json').resolution };
    return c.json(detailBody(await resolveDelivery(serviceContextOf(c), c.req.param('id'), decision)));
  });

async function send(
  c: Context<AppTypes>,
  drafts: ReturnType<typeof readEmail>[],
  prefixOf: (index: number) => string,
): Promise<readonly string[]> {
  const idempotencyKey = c.req.header('idempotency-key');
  if (idempotencyKey !== undefined && !/^[\x20-\x7e]{1,256}$/.test(idempotencyKey)) {
    throw new AppError('invalid_idempotency_key');
  }
  try {
    const context = serviceContextOf(c);
    const relayIds = drafts.map((draft) => draft.summary.relayId);
    await checkNamedRelays(context, relayIds, (index) => `${prefixOf(index)}relay`);
    const { ids, rate } = await sendEmails(context, drafts, {
      idempotencyKey,
      boundDomainId: c.get('boundDomainId'),
    });
    setRateHeaders(c, rate);
    return ids;
  } catch (error) {
    if (error instanceof RefusedByLedger) setRateHeaders(c, error.rate);
    throw error;
  }
}

function setRateHeaders(
  c: Context<AppTypes>,
  rate: { limit: number; remaining: number; resetSeconds: number },
): void {
  c.header('ratelimit-limit', String(rate.limit));
  c.header('ratelimit-remaining', String(rate.remaining));
  c.header('ratelimit-reset', String(rate.resetSeconds));
}
