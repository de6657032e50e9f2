/** Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 over id, time and body, `v1,` and base64. */
import { createHmac, randomBytes } from 'node:crypto';

const PREFIX = 'whsec_';
const SECRET_BYTES = 32;

export interface SignedContent {
  readonly id: string;
  readonly timestampSeconds: number;
  readonly body: string;
}

export function newWebhookSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64');
}

/** The value of the signature header: one signature for each secret, separated by spaces. */
export function signWebhook(secrets: readonly string[], content: SignedContent): string {
  const signed = `${content.id}.${content.timestampSeconds}.${content.body}`;
  return secrets.map((secret) => `v1,${signatureOf(secret, signed)}`).join(' ');
}

function signatureOf(secret: string, signed: string): string {
  const key = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, 'base64');
  if (key.byteLength === 0) throw new Error('a webhook secret is empty');
  return createHmac('sha256', key).update(signed).digest('base64');
}
