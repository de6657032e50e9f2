/** What became of events at a webhook, and how to have them sent again. */
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import {
  type AttemptResult,
  deliveryIdOf,
  type EventPayload,
  type EventPlace,
  eventIdOf,
  eventPayload,
  type LoggedAttempt,
  openAttempts,
  outboxOf,
  parseEventId,
  positionAt,
  type WebhookEvent,
} from '../outbox/client.ts';
import { insertAudit } from '../store/audit-log.ts';
import { countShards, getDataKeys } from './account-state.ts';
import type { Page } from './listing.ts';
import { actorName, type ServiceContext } from './service-context.ts';
import { checkSavedEndpoint, getWebhook } from './webhooks.ts';

export interface WebhookEventDetail {
  readonly id: string;
  readonly payload: EventPayload;
  readonly status: WebhookEvent['status'];
  readonly nextAttemptAtMs: number | undefined;
  readonly attempts: readonly (LoggedAttempt & { readonly id: string })[];
}

/** Newest first. */
export async function listWebhookEvents(
  context: ServiceContext,
  webhookId: string,
  page: { readonly limit: number; readonly after?: string | undefined },
): Promise<Page<WebhookEventDetail>> {
  const { env, scope } = context;
  await getWebhook(context, webhookId);
  const after = page.after === undefined ? undefined : parseEventId(scope.accountId, page.after);
  // A cursor that is none is before everything: there is nothing after it.
  if (page.after !== undefined && !after) return { rows: [], hasMore: false };
  const shards = await countShards(env, scope, (after?.shard ?? 0) + 1);
  const { limit } = page;
  const pages = await Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const before = after ? boundIn(shard, after) : positionAt(Date.now() + 60_000);
      const found = await outboxOf(env, scope.accountId, shard).listWebhookEvents(webhookId, {
        before,
        limit,
      });
      return { shard, ...found };
    }),
  );
  const keys = await getDataKeys(context);
  const all = pages
    .flatMap(({ shard, events }) =>
      events.flatMap((event) => detailOf(context, { webhookId, shard, keys }, event)),
    )
    .sort((one, other) => (one.id < other.id ? 1 : -1));
  return { rows: all.slice(0, limit), hasMore: all.length > limit || pages.some((found) => found.hasMore) };
}

export async function getWebhookEvent(
  context: ServiceContext,
  webhookId: string,
  eventId: string,
): Promise<WebhookEventDetail> {
  const { env, scope } = context;
  await getWebhook(context, webhookId);
  const place = await placeOf(context, eventId);
  const found = await outboxOf(env, scope.accountId, place.shard).findWebhookEvent(webhookId, place);
  const keys = await getDataKeys(context);
  const [detail] = found ? detailOf(context, { webhookId, shard: place.shard, keys }, found) : [];
  if (!detail) throw eventNotFound();
  return detail;
}

/** Sends an event once more, with its old id. */
export async function replayWebhookEvent(
  context: ServiceContext,
  webhookId: string,
  eventId: string,
): Promise<void> {
  const { env, scope, actor } = context;
  await enabledWebhook(context, webhookId);
  const place = await placeOf(context, eventId);
  await insertAudit(scope, {
    actor: actorName(actor),
    action: 'webhook.replay_requested',
    target: webhookId,
    details: { event: eventId },
  });
  const isFound = await outboxOf(env, scope.accountId, place.shard).replayEvent(webhookId, place);
  if (!isFound) throw eventNotFound();
}

/** Sends everything that was logged since then once more, each event with its old id. */
export async function replaySince(
  context: ServiceContext,
  webhookId: string,
  sinceMs: number,
): Promise<void> {
  const { env, scope, actor } = context;
  await enabledWebhook(context, webhookId);
  await insertAudit(scope, {
    actor: actorName(actor),
    action: 'webhook.replay_requested',
    target: webhookId,
    details: { since: sinceMs },
  });
  const shards = await countShards(env, scope, 1);
  await Promise.all(
    Array.from({ length: shards }, (_, shard) =>
      outboxOf(env, scope.accountId, shard).replayEventsSince(webhookId, sinceMs),
    ),
  );
}

/** Sends an event of its own type now, whatever the webhook listens to, and says what the endpoint answered. */
export async function testWebhook(
  context: ServiceContext,
  webhookId: string,
): Promise<AttemptResult & { readonly eventId: string; readonly deliveryId: string }> {
  const { env, scope } = context;
  await checkSavedEndpoint(context, await getWebhook(context, webhookId));
  const nowMs = Date.now();
  const payload = {
    id: newId('event', nowMs),
    type: 'webhook.test',
    created_at: new Date(nowMs).toISOString(),
    data: { webhook_id: webhookId },
  };
  const result = await outboxOf(env, scope.accountId).testWebhook(scope.accountId, webhookId, payload);
  if (!result) throw new AppError('conflict', { reason: 'Another test is under way. Try again shortly.' });
  return { ...result, eventId: payload.id, deliveryId: deliveryIdOf(payload.id, webhookId) };
}

async function enabledWebhook(context: ServiceContext, id: string): Promise<void> {
  const webhook = await getWebhook(context, id);
  if (webhook.status === 'disabled') throw new AppError('conflict', { reason: 'The webhook is disabled.' });
}

function detailOf(
  { scope }: ServiceContext,
  at: { webhookId: string; shard: number; keys: Parameters<typeof openAttempts>[0] },
  found: WebhookEvent,
): WebhookEventDetail[] {
  const { accountId } = scope;
  const { webhookId, shard, keys } = at;
  const { event } = found;
  const payload = eventPayload({ accountId, shard, keys }, event);
  if (!payload) return [];
  const id = eventIdOf(accountId, { ...event, shard });
  const place = { accountId, webhookId, seq: event.seq, index: event.index };
  const attempts = openAttempts(keys, place, found.attempts).map((attempt, number) => ({
    ...attempt,
    id: `${deliveryIdOf(id, webhookId)}_${number + 1}`,
  }));
  return [{ id, payload, status: found.status, nextAttemptAtMs: found.nextAttemptAtMs, attempts }];
}

async function placeOf({ env, scope }: ServiceContext, eventId: string): Promise<EventPlace> {
  const place = parseEventId(scope.accountId, eventId);
  const isThere = place && (await countShards(env, scope, place.shard + 1)) > place.shard;
  if (!isThere) throw eventNotFound();
  return place;
}

/** Where a shard's part of a list that is ordered by row, shard and place in the row begins. */
function boundIn(shard: number, { seq, shard: ofCursor, index }: EventPlace) {
  if (shard === ofCursor) return { seq, index };
  return { seq, index: shard < ofCursor ? Number.MAX_SAFE_INTEGER : -1 };
}

function eventNotFound(): AppError {
  return new AppError('not_found', { what: 'Event' });
}
