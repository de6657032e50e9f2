/** One signed request to a customer's endpoint, in the headers of both families that libraries look for. */
import { signWebhook } from '../../crypto/webhook-signature.ts';
import { type SafeRequest, safeFetch } from '../../web/safe-fetch.ts';
import { deliveryIdOf } from './event-id.ts';
import type { EventPayload } from './event-payload.ts';
import { type AttemptResult, retryAfterOf } from './retry-plan.ts';

/** A webhook as the courier may use it. */
export interface ActiveWebhook {
  readonly id: string;
  /** As `checkEndpointUrl` gave it; undefined where the deployment's rules refuse it by now. */
  readonly url: string | undefined;
  /** Undefined: every type. */
  readonly types: ReadonlySet<string> | undefined;
  readonly isEnabled: boolean;
  readonly activeSinceMs: number;
  /** The current one first; during a rotation the one before it too. */
  readonly secrets: readonly { readonly value: string; readonly untilMs?: number }[];
}

/** What is shown of an answer. */
const RESPONSE_BYTES = 256;
const USER_AGENT = 'edge-relay-webhooks/1';

export async function sendToEndpoint(
  webhook: ActiveWebhook,
  payload: EventPayload,
  timeoutMs: number,
): Promise<AttemptResult> {
  const atMs = Date.now();
  if (webhook.url === undefined) return { atMs, response: 'endpoint_refused', tookMs: 0 };
  const id = deliveryIdOf(payload.id, webhook.id);
  const timestampSeconds = Math.floor(atMs / 1000);
  const body = JSON.stringify(payload);
  const secrets = webhook.secrets
    .filter(({ untilMs }) => untilMs === undefined || untilMs > atMs)
    .map(({ value }) => value);
  const signature = signWebhook(secrets, { id, timestampSeconds, body });
  const signed = { id, timestamp: String(timestampSeconds), signature };
  const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': USER_AGENT };
  for (const [name, value] of Object.entries(signed)) {
    headers[`webhook-${name}`] = value;
    headers[`svix-${name}`] = value;
  }
  return attempt({
    url: webhook.url,
    method: 'POST',
    headers,
    body,
    timeoutMs,
    maxBytes: RESPONSE_BYTES,
  });
}

async function attempt(request: SafeRequest): Promise<AttemptResult> {
  const atMs = Date.now();
  const answer = await safeFetch(request);
  const nowMs = Date.now();
  const tookMs = nowMs - atMs;
  if ('fault' in answer) return { atMs, response: answer.fault, tookMs };
  const retryAfterMs = retryAfterOf(answer.headers.get('retry-after'), nowMs);
  const response = new TextDecoder().decode(answer.body);
  return {
    atMs,
    status: answer.status,
    response,
    tookMs,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}
