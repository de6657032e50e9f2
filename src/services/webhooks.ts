/** Where an account's events go. Signing secrets are sealed; their owner may read them. */
import { newestKey, seal, unseal } from '../crypto/seal.ts';
import { newWebhookSecret } from '../crypto/webhook-signature.ts';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { webhookSecretPlace } from '../outbox/client.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { WebhookStatus } from '../store/schema/webhooks.ts';
import * as store from '../store/webhooks.ts';
import { checkEndpointUrl } from '../web/endpoint-url.ts';
import { getDataKeys } from './account-state.ts';
import { checkHost } from './check-host.ts';
import { refreshOutboxes } from './refresh-outboxes.ts';
import { actorName, type ServiceContext } from './service-context.ts';

const MAX_WEBHOOKS = 20;
const BACKFILL_MS = 7 * 24 * 60 * 60 * 1000;

export type Webhook = store.StoredWebhook;

export interface WebhookInput {
  readonly endpoint: string;
  /** null: every type. */
  readonly events: readonly string[] | null;
  /** Whether it is sent the events of the last seven days too. */
  readonly backfill: boolean;
  /** The host name of this service, as the request had it. */
  readonly ownHost: string;
}

export interface WebhookSecret {
  readonly id: string;
  readonly secret: string;
}

export async function createWebhook(context: ServiceContext, input: WebhookInput): Promise<WebhookSecret> {
  const { scope, actor } = context;
  const createdAt = Date.now();
  const id = newId('webhook', createdAt);
  const endpoint = await endpointOf(context, input.endpoint, input.ownHost);
  const secret = newWebhookSecret();
  const webhook = {
    id,
    endpoint,
    events: input.events,
    sealedSecret: await sealSecret(context, id, secret),
    activeSince: input.backfill ? createdAt - BACKFILL_MS : createdAt,
    createdAt,
  };
  const audit = { actor: actorName(actor), action: 'webhook.created', target: id };
  if (!(await store.insertWebhook(scope, webhook, { limit: MAX_WEBHOOKS, audit }))) {
    throw new AppError('conflict', { reason: `An account has at most ${MAX_WEBHOOKS} webhooks.` });
  }
  await refreshOutboxes(context);
  return { id, secret };
}

export async function getWebhook(context: ServiceContext, id: string): Promise<Webhook> {
  const webhook = await store.findWebhook(context.scope, id);
  if (!webhook) throw notFound();
  return webhook;
}

export async function readSecret(context: ServiceContext, webhook: Webhook): Promise<string> {
  const place = webhookSecretPlace(context.scope.accountId, webhook.id);
  return new TextDecoder().decode(unseal(await getDataKeys(context), place, webhook.sealedSecret));
}

export function listWebhooks(context: ServiceContext, page: PageOf): Promise<Page<Webhook>> {
  return store.listWebhooks(context.scope, page);
}

/** Absent fields stay. One that is enabled again gets what happens from then on. */
export async function updateWebhook(
  context: ServiceContext,
  id: string,
  change: {
    readonly endpoint?: string | undefined;
    readonly events?: readonly string[] | null | undefined;
    readonly status?: WebhookStatus | undefined;
    readonly ownHost: string;
  },
): Promise<void> {
  const { scope, actor } = context;
  await getWebhook(context, id);
  const { endpoint, events, status } = change;
  const next = {
    ...(endpoint !== undefined && { endpoint: await endpointOf(context, endpoint, change.ownHost) }),
    ...(events !== undefined && { events }),
    ...(status !== undefined && { status }),
  };
  const details = { changed: Object.keys(next).join(), status: status ?? null };
  const audit = { actor: actorName(actor), action: 'webhook.updated', target: id, details };
  if (!(await store.updateWebhook(scope, id, next, audit))) throw notFound();
  await refreshOutboxes(context);
}

export async function deleteWebhook(context: ServiceContext, id: string): Promise<void> {
  const audit = { actor: actorName(context.actor), action: 'webhook.deleted', target: id };
  if (!(await store.deleteWebhook(context.scope, id, audit))) throw notFound();
  await refreshOutboxes(context);
}

/** Both secrets sign until the overlap is over. */
export async function rotateSecret(
  context: ServiceContext,
  id: string,
  overlapMs: number | undefined,
): Promise<WebhookSecret> {
  const { env, scope, actor } = context;
  await getWebhook(context, id);
  const secret = newWebhookSecret();
  const previousUntil = Date.now() + (overlapMs ?? settingsOf(env).WEBHOOK_ROTATION_MS);
  const rotated = { sealed: await sealSecret(context, id, secret), previousUntil };
  const audit = { actor: actorName(actor), action: 'webhook.secret_rotated', target: id };
  if (!(await store.rotateSecret(scope, id, rotated, audit))) throw notFound();
  await refreshOutboxes(context);
  return { id, secret };
}

/** For who tries a webhook out, and is shown the answer. */
export async function checkSavedEndpoint(context: ServiceContext, webhook: Webhook): Promise<void> {
  await endpointOf(context, webhook.endpoint);
}

async function endpointOf(context: ServiceContext, text: string, ownHost = ''): Promise<string> {
  const { ALLOW_PRIVATE_WEBHOOKS, PUBLIC_URL } = settingsOf(context.env);
  const publicHosts = PUBLIC_URL === undefined ? [] : [new URL(PUBLIC_URL).hostname];
  const options = { allowPrivate: ALLOW_PRIVATE_WEBHOOKS, ownHosts: [ownHost, ...publicHosts] };
  const checked = checkEndpointUrl(text, options);
  if (!checked.ok) throw new AppError('field_refused', { field: 'endpoint', reason: checked.reason });
  if (!checked.isLoopback) await checkEndpointAddresses(context, checked.host);
  return checked.url;
}

async function checkEndpointAddresses(context: ServiceContext, host: string): Promise<void> {
  const allowCloudflare = settingsOf(context.env).ALLOW_CLOUDFLARE_WEBHOOKS;
  await checkHost(context, host, { field: 'endpoint', allowCloudflare });
}

async function sealSecret(context: ServiceContext, id: string, secret: string): Promise<Uint8Array> {
  const key = newestKey(await getDataKeys(context));
  return seal(key, webhookSecretPlace(context.scope.accountId, id), new TextEncoder().encode(secret));
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Webhook' });
}
