/** Bindings and settings. Settings are text in the environment and are parsed once per isolate. */
import * as z from 'zod';
import type { Outbox } from './outbox/outbox.ts';
import type { RelayGate } from './relay-gate/relay-gate.ts';

export interface Env {
  readonly DB: D1Database;
  readonly OUTBOX: DurableObjectNamespace<Outbox>;
  readonly RELAY_GATE: DurableObjectNamespace<RelayGate>;
  /** By the address of the client; approximate, as the platform counts. */
  readonly REGISTRATION_LIMIT?: RateLimit;
  readonly FAILED_KEY_LIMIT?: RateLimit;
  /** Everything else is text: secrets and settings. */
  readonly [name: string]: unknown;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true');
const whole = (fallback: number, min = 0) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine((value) => value >= min, `must be at least ${min}`)
    .default(fallback);
/** `0,5000,300000`: the waits before each attempt. */
const waits = (fallback: readonly number[]) =>
  z
    .string()
    .regex(/^\d{1,10}(?:,\d{1,10}){0,19}$/)
    .transform((text): readonly number[] => text.split(',').map(Number))
    .default(fallback);
/** Absent or empty: no value. */
const optionalWhole = z
  .string()
  .regex(/^\d{0,15}$/)
  .transform((text) => (text === '' ? undefined : Number(text)))
  .optional();
const optionalText = z
  .string()
  .transform((text) => (text === '' ? undefined : text))
  .optional();

/** `1:<base64 of 32 bytes>,2:<…>`: versioned master keys; the highest version wraps new data keys. */
const masterKeys = z.string().transform((text, context) => {
  const keys: { version: number; bytes: Uint8Array }[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,5}):([A-Za-z0-9+/]{43}=)\s*$/.exec(part);
    // A sealed value names its key in two bytes.
    if (!match?.[1] || !match[2] || Number(match[1]) > 0xffff) {
      context.addIssue({ code: 'custom', message: 'must look like `1:<base64 of 32 bytes>`' });
      return z.NEVER;
    }
    keys.push({ version: Number(match[1]), bytes: Uint8Array.from(atob(match[2]), (c) => c.charCodeAt(0)) });
  }
  return keys.sort((a, b) => b.version - a.version);
});

/** Absent where names are not to be looked up. */
const resolverUrl = z
  .string()
  .default('https://cloudflare-dns.com/dns-query')
  .refine((text) => /^(?:none)?$/.test(text) || isResolverUrl(text), 'must be an https URL')
  .transform((text) => (/^(?:none)?$/.test(text) ? undefined : text));

/** In clear only to the loopback, which is out of reach where the platform runs the Worker. */
function isResolverUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isLoopback = url?.hostname === '127.0.0.1' || url?.hostname === '[::1]';
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback);
}

const settingsFields = z.object({
  ADMIN_TOKEN: z.string().min(32),
  MASTER_KEYS: masterKeys,
  /** `smtps://user:pass@host:465` or `smtp://user:pass@host:587` (STARTTLS): serves accounts without a relay. */
  RELAY_URL: optionalText,
  /** The name this deployment greets upstream servers with: a host name or an address literal. */
  EHLO_NAME: z
    .string()
    .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]|)$/)
    .default('')
    .transform((name) => name || 'edge-relay.invalid'),
  DATA_JURISDICTION: z.enum(['none', 'eu', 'us', 'fedramp']).default('none'),
  ALLOW_PRIVATE_RELAYS: flag,
  ALLOW_PLAINTEXT_RELAYS: flag,

  /** Who may open an account: anybody, whoever has an invite, or only the operator. */
  REGISTRATION: z.enum(['open', 'invite', 'closed']).default('closed'),
  /** The sender of the deployment's own mail: an address, or `Name <address>`. It goes out through RELAY_URL. */
  SYSTEM_FROM: optionalText,
  /** The address under which the deployment is reached, for links in its mail; else that of the request. */
  PUBLIC_URL: z
    .union([z.literal(''), z.url({ protocol: /^https?$/ })])
    .transform((text) => (text === '' ? undefined : new URL(text).origin))
    .optional(),
  CONFIRMATION_HOURS: whole(48, 1),
  /** Confirmations mailed to one address in 24 hours, whoever asks for them. */
  CONFIRMATIONS_PER_DAY: whole(5, 1),

  /** After which an account whose address was never confirmed is deleted. */
  UNCONFIRMED_DAYS: whole(7, 1),

  /** `errors`: a log line only for requests that were refused or failed. What was sent stands in the ledger. */
  LOG_REQUESTS: z.enum(['all', 'errors']).default('errors'),

  KEY_MESSAGES_PER_SECOND: whole(1000, 1),
  /** Recipients per UTC day and month that an account without quotas of its own may mail. */
  DAILY_QUOTA: optionalWhole,
  MONTHLY_QUOTA: optionalWhole,
  BACKLOG_LIMIT: whole(100_000, 1),
  /** Messages of broadcasts that wait in one Outbox for their first attempt: what other mail may have to wait behind. */
  BROADCAST_WAITING: whole(1000, 1),
  /** Both are the default of every account, and the longest that one can have. 0: gone with the last delivery. */
  BODY_RETENTION_DAYS: whole(7),
  METADATA_RETENTION_DAYS: whole(30, 1),
  IDEMPOTENCY_DAYS: whole(7, 1),
  /** How many pairs of message and term the index of lists writes at once. */
  LIST_SEGMENT_TERMS: whole(16_384, 64),
  /** What of a request body may be in memory: all of it, but for attachments and raw mail, which are staged. */
  REQUEST_BODY_LIMIT_BYTES: whole(15 * MIB, 64 * KIB),
  /** A raw message, or the attachments of one message, decoded. */
  MESSAGE_LIMIT_BYTES: whole(25 * MIB, 64 * KIB).refine(
    (value) => value <= 36 * MIB,
    'must be at most 37748736',
  ),
  /** How long content waits for its message before it is swept. */
  STAGING_KEPT_MS: whole(HOUR, 1),
  /** The file of one import of contacts. */
  IMPORT_LIMIT_BYTES: whole(90 * MIB, 1).refine((value) => value <= 96 * MIB, 'must be at most 100663296'),
  ISOLATE_BODY_LIMIT_BYTES: whole(32 * MIB, MIB),
  OUTBOX_IN_FLIGHT_LIMIT_BYTES: whole(32 * MIB, MIB),

  CONNECT_TIMEOUT_MS: whole(30 * SECOND, 1),
  BANNER_TIMEOUT_MS: whole(MINUTE, 1),
  COMMAND_TIMEOUT_MS: whole(5 * MINUTE, 1),
  DATA_TIMEOUT_MS: whole(2 * MINUTE, 1),
  BODY_WRITE_TIMEOUT_MS: whole(3 * MINUTE, 1),
  DOT_TIMEOUT_MS: whole(10 * MINUTE, 1),
  /** Sessions that one Outbox holds to a relay at most, where the relay has no limit of its own. */
  SESSIONS_PER_RELAY: whole(6, 1),
  SESSION_IDLE_MS: whole(15 * SECOND, 1),
  SESSION_MAX_AGE_MS: whole(14 * MINUTE, 1),

  RETRY_FIRST_MS: whole(MINUTE, 1),
  RETRY_MAX_MS: whole(4 * HOUR, 1),
  RETRY_FOR_MS: whole(4 * DAY, 1),
  WATCHDOG_MS: whole(30 * SECOND, 1),
  /** Webhooks to the loopback, in clear too; for local use. */
  ALLOW_PRIVATE_WEBHOOKS: flag,
  /** Webhooks to hosts in Cloudflare's network: whoever has a site behind it, or a Worker. */
  ALLOW_CLOUDFLARE_WEBHOOKS: flag,
  /** Answers `application/dns-json`. `none`, or empty, only where relays and webhooks may be private anyway. */
  DNS_RESOLVER_URL: resolverUrl,
  DNS_TIMEOUT_MS: whole(5 * SECOND, 1),
  /** The waits before each attempt at a webhook, the first one included. */
  WEBHOOK_RETRY_MS: waits([
    0,
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
  ]),
  WEBHOOK_TIMEOUT_MS: whole(15 * SECOND, 1),
  /** How long the old signing secret goes on being used beside a new one. */
  WEBHOOK_ROTATION_MS: whole(DAY, 0),
  /** How long the pump may act on what it last read from D1: account status, relays, suppressions. */
  SENDING_STATE_TTL_MS: whole(10 * SECOND, 1),
});

const settingsSchema = settingsFields.refine(
  (set) => set.DNS_RESOLVER_URL !== undefined || (set.ALLOW_PRIVATE_RELAYS && set.ALLOW_PRIVATE_WEBHOOKS),
  {
    path: ['DNS_RESOLVER_URL'],
    message: 'may be `none` only with ALLOW_PRIVATE_RELAYS and ALLOW_PRIVATE_WEBHOOKS, for local use',
  },
);

export type Settings = z.output<typeof settingsSchema>;

const parsed = new WeakMap<object, Settings>();

/** Throws with the name of the first wrong setting; never with its value. */
export function settingsOf(env: Env): Settings {
  const known = parsed.get(env);
  if (known) return known;
  const result = settingsSchema.safeParse(env);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new Error(`Setting ${issue?.path.join('.')}: ${issue?.message}`);
  }
  parsed.set(env, result.data);
  return result.data;
}
