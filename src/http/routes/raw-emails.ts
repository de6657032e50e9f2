import { Hono } from 'hono';
import * as z from 'zod';
import { settingsOf } from '../../env.ts';
import { AppError } from '../../errors.ts';
import { checkNamedRelays } from '../../services/relays.ts';
import { dryRunRawEmail, sendRawEmail } from '../../services/send-raw-email.ts';
import { type AppContext, type AppTypes, serviceContextOf } from '../app-types.ts';
import { bodyBudget } from '../body-budget.ts';
import { declaredLength, piecesOf, tooLarge } from '../body-stream.ts';
import { checkEncoding } from '../json-body.ts';
import { answerSent, idempotencyKeyOf } from '../sending.ts';
import { queryOf } from '../validation.ts';
import { dryRunBody } from './emails-output.ts';

/** What a request holds at most: the piece that fills, and two copies of the one that is being staged. */
const HELD_BYTES = 3 * 1024 * 1024;
const MAX_TAGS = 50;

const listOf = <T extends z.ZodType>(item: T, max: number) =>
  z.union([item.transform((one) => [one]), z.array(item).max(max)]);

export const rawQuery = z.strictObject({
  from: z.string().max(1000).optional(),
  to: listOf(z.string().max(1000), 50).optional(),
  tag: listOf(z.string().regex(/^[A-Za-z0-9_-]{1,256}:[A-Za-z0-9_-]{1,256}$/), MAX_TAGS).optional(),
  relay: z.string().max(64).optional(),
  in_doubt_policy: z.enum(['retry', 'hold']).optional(),
  scheduled_at: z.string().max(100).optional(),
  dry_run: z.enum(['true', 'false']).optional(),
});

/** The message is the body, as MIME; what is not in its header stands in the query. */
export const rawEmailRoutes = new Hono<AppTypes>().post('/', queryOf(rawQuery), async (c) => {
  const query = c.req.valid('query');
  const idempotencyKey = idempotencyKeyOf(c);
  const isDryRun = query.dry_run === 'true';
  const limitBytes = checkRequest(c, isDryRun);
  const context = serviceContextOf(c);
  await checkNamedRelays(context, [query.relay], () => 'relay');
  const settings = settingsOf(c.env);
  const hold = bodyBudget.open(settings.ISOLATE_BODY_LIMIT_BYTES);
  c.set('releaseBody', () => hold.release());
  const declaredBytes = declaredLength(c.req.header('content-length'));
  if (isDryRun) hold.take(declaredBytes > 0 ? declaredBytes : limitBytes);
  else hold.take(declaredBytes > 0 ? Math.min(HELD_BYTES, declaredBytes) : HELD_BYTES);
  const input = {
    from: query.from,
    to: query.to as readonly string[] | undefined,
    tags: tagsOf((query.tag ?? []) as readonly string[]),
    relay: query.relay,
    inDoubtPolicy: query.in_doubt_policy,
    scheduledAt: query.scheduled_at,
  };
  const pieces = piecesOf(c.req.raw.body, limitBytes);
  const boundDomainId = c.get('boundDomainId');
  if (isDryRun) return c.json(dryRunBody(await dryRunRawEmail(context, pieces, input, { boundDomainId })));
  return answerSent(c, sendRawEmail(context, pieces, input, { idempotencyKey, boundDomainId }));
});

/** Returns how large the body may be. */
function checkRequest(c: AppContext, isDryRun: boolean): number {
  checkEncoding(c);
  if (!/^\s*message\/rfc822\s*;?\s*$/i.test(c.req.header('content-type') ?? '')) {
    throw new AppError('unsupported_content_type', { type: 'message/rfc822' });
  }
  const { MESSAGE_LIMIT_BYTES, REQUEST_BODY_LIMIT_BYTES } = settingsOf(c.env);
  // A dry run is held whole, like other bodies, and answered whole.
  const limitBytes = isDryRun ? Math.min(MESSAGE_LIMIT_BYTES, REQUEST_BODY_LIMIT_BYTES) : MESSAGE_LIMIT_BYTES;
  if (declaredLength(c.req.header('content-length')) > limitBytes) throw tooLarge(limitBytes);
  return limitBytes;
}

/** `tag=name:value`. */
function tagsOf(texts: readonly string[]): { name: string; value: string }[] {
  const names = new Set<string>();
  return texts.map((text) => {
    const [name = '', value = ''] = text.split(':');
    if (names.has(name)) throw new AppError('invalid_field', { field: 'tag', reason: 'is given twice' });
    names.add(name);
    return { name, value };
  });
}
