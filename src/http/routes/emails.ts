import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { settingsOf } from '../../env.ts';
import { AppError } from '../../errors.ts';
import { RequestBudget } from '../../render/render-template.ts';
import { cancelEmail, rescheduleEmail } from '../../services/cancel-email.ts';
import { dryRun } from '../../services/dry-run.ts';
import type { EmailDraft } from '../../services/email-input.ts';
import { getEmail, listEmails } from '../../services/read-emails.ts';
import { checkNamedRelays } from '../../services/relays.ts';
import { resolveDelivery } from '../../services/resolve-delivery.ts';
import { type Sent, sendEmails } from '../../services/send-emails.ts';
import { isTestActor } from '../../services/service-context.ts';
import { sortOut } from '../../services/sort-out-batch.ts';
import { withUnsubscribeTerms } from '../../services/topic-mail.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { withEmailBody } from '../email-body.ts';
import { emailFilterOf, emailListQuery } from '../email-query.ts';
import { jsonBody, readJson } from '../json-body.ts';
import { listBody } from '../pagination.ts';
import { answerBatch, answerSent, idempotencyKeyOf } from '../sending.ts';
import { queryOf, validate } from '../validation.ts';
import { batchBody, emailOf, rescheduleBody, resolveBody } from './emails-input.ts';
import { detailBody, dryRunBody, overviewBody } from './emails-output.ts';

export const sendQuery = z.object({ dry_run: z.enum(['true', 'false']).optional() });

export const emailRoutes = new Hono<AppTypes>()
  .post('/', queryOf(sendQuery), async (c) => {
    const draftOf = (body: unknown) => emailOf(serviceContextOf(c), body, { isTest: isTest(c) });
    if (c.req.valid('query').dry_run === 'true') {
      return c.json(dryRunBody(await preview(c, await draftOf(await readEmailJson(c)))));
    }
    return answerSent(
      c,
      withEmailBody(c, async (body) => send(c, [await draftOf(body)], { prefixOf: () => '' })),
    );
  })
  .post('/batch', queryOf(sendQuery), async (c) => {
    if (c.req.valid('query').dry_run === 'true')
      throw new AppError('field_not_supported', { field: 'dry_run' });
    const isPermissive = readBatchValidation(c) === 'permissive';
    const items = validate(batchBody, await readEmailJson(c));
    if (isPermissive) return sendPermissive(c, items);
    const prefixOf = (index: number) => `[${index}].`;
    const drafts: EmailDraft[] = [];
    const options = { isTest: isTest(c), renderBudget: new RequestBudget() };
    // One after the other: the first that is wrong is told.
    for (const [index, item] of items.entries()) {
      drafts.push(await emailOf(serviceContextOf(c), item, { ...options, prefix: prefixOf(index) }));
    }
    return answerBatch(c, send(c, drafts, { prefixOf }));
  })
  .get('/', queryOf(emailListQuery), async (c) => {
    const query = c.req.valid('query');
    const page = await listEmails(serviceContextOf(c), query, emailFilterOf(query));
    return c.json(listBody(page, overviewBody));
  })
  .get('/:id', async (c) => c.json(detailBody(await getEmail(serviceContextOf(c), c.req.param('id')))))
  .patch('/:id', jsonBody(rescheduleBody), async (c) => {
    const { scheduled_at: scheduledAt } = c.req.valid('json');
    return c.json(detailBody(await rescheduleEmail(serviceContextOf(c), c.req.param('id'), scheduledAt)));
  })
  .post('/:id/cancel', async (c) =>
    c.json(detailBody(await cancelEmail(serviceContextOf(c), c.req.param('id')))),
  )
  .post('/:id/deliveries/:n/resolve', jsonBody(resolveBody), async (c) => {
    const n = /^\d{1,4}$/.test(c.req.param('n')) ? Number(c.req.param('n')) : undefined;
    const decision = { n, resolution: c.req.valid('json').resolution };
    return c.json(detailBody(await resolveDelivery(serviceContextOf(c), c.req.param('id'), decision)));
  });

function isTest(c: Context<AppTypes>): boolean {
  return isTestActor(serviceContextOf(c).actor);
}

function readEmailJson(c: Context<AppTypes>): Promise<unknown> {
  return readJson(c, { limitBytes: settingsOf(c.env).REQUEST_BODY_LIMIT_BYTES });
}

function readBatchValidation(c: Context<AppTypes>): 'strict' | 'permissive' {
  const field = 'x-batch-validation';
  const mode = c.req.header(field) ?? 'strict';
  if (mode === 'strict' || mode === 'permissive') return mode;
  throw new AppError('invalid_field', { field, reason: 'must be `strict` or `permissive`' });
}

/** The good ones go, and each of the others is told what is wrong with it. */
async function sendPermissive(c: Context<AppTypes>, items: readonly unknown[]): Promise<Response> {
  const options = { isTest: isTest(c), renderBudget: new RequestBudget() };
  const { drafts, errors } = await sortOut(serviceContextOf(c), items, {
    boundDomainId: c.get('boundDomainId'),
    read: (item) => emailOf(serviceContextOf(c), item, options),
  });
  const left = errors.map(({ index }) => items[index]);
  const fingerprintOf = JSON.stringify(['permissive', errors.map(({ index }) => index), left]);
  const told = errors.map(({ index, error }) => ({ index, message: error.message, code: error.code }));
  if (drafts.length === 0) return c.json({ data: [], errors: told });
  return answerBatch(c, send(c, drafts, { prefixOf: () => '', fingerprintOf }), { errors: told });
}

async function send(
  c: Context<AppTypes>,
  drafts: readonly EmailDraft[],
  options: { readonly prefixOf: (index: number) => string; readonly fingerprintOf?: string },
): Promise<Sent> {
  const idempotencyKey = idempotencyKeyOf(c);
  const context = serviceContextOf(c);
  const relayIds = drafts.map((draft) => draft.summary.relayId);
  await checkNamedRelays(context, relayIds, (index) => `${options.prefixOf(index)}relay`);
  const fieldOf = (index: number, field: string) => options.prefixOf(index) + field;
  const ready = await withUnsubscribeTerms(context, drafts, fieldOf);
  const { fingerprintOf } = options;
  const boundDomainId = c.get('boundDomainId');
  return sendEmails(context, ready, { idempotencyKey, boundDomainId, fingerprintOf });
}

async function preview(c: Context<AppTypes>, draft: EmailDraft) {
  const context = serviceContextOf(c);
  await checkNamedRelays(context, [draft.summary.relayId], () => 'relay');
  const [ready = draft] = await withUnsubscribeTerms(context, [draft], (_index, field) => field);
  return dryRun(context, ready, { boundDomainId: c.get('boundDomainId') });
}
