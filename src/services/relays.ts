/** Upstream servers of an account. The secret is write-only: sealed on the way in, opened only to connect. */
import { unwrapDataKey } from '../crypto/data-key.ts';
import { type SealedPlace, seal } from '../crypto/seal.ts';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { canonicalDomain } from '../mime/domain.ts';
import { defaultTlsFor, refusedPortReason } from '../smtp/relay-port.ts';
import type { AuthMethod, TlsMode } from '../smtp/types.ts';
import type { Page, PageOf } from '../store/page.ts';
import * as store from '../store/relays.ts';
import { findSendingState } from '../store/sending-state.ts';
import { checkRelayHost } from '../web/relay-host.ts';
import { findAccountState } from './account-state.ts';
import { checkHost } from './check-host.ts';
import { refreshOutboxes } from './refresh-outboxes.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export interface RelayInput {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsMode | undefined;
  readonly username?: string | null | undefined;
  readonly password?: string | null | undefined;
  readonly auth?: AuthMethod | undefined;
  readonly priority?: number | undefined;
  readonly weight?: number | undefined;
  readonly fromDomains?: readonly string[] | undefined;
  /** Absent limits stay as they are; null removes one, or all of them. */
  readonly limits?:
    | { readonly [K in keyof store.StoredLimits]?: number | null | undefined }
    | null
    | undefined;
}

const DEFAULT_PRIORITY = 10;
const DEFAULT_WEIGHT = 1;
const NO_LIMITS: store.StoredLimits = {
  sessions: null,
  perSecond: null,
  perMinute: null,
  perDay: null,
  perSession: null,
};

type RelayChange = { readonly [K in keyof RelayInput]?: RelayInput[K] | undefined };

export async function createRelay(context: ServiceContext, input: RelayInput): Promise<store.StoredRelay> {
  const { scope, actor } = context;
  const nowMs = Date.now();
  const id = newId('relay', nowMs);
  const { host, port } = input;
  const address = checkedAddress(context, { host, port, tls: input.tls ?? defaultTlsFor(port) });
  const relay: store.StoredRelay = {
    id,
    name: input.name,
    ...address,
    auth: input.auth ?? 'auto',
    username: input.username ?? null,
    sealedSecret: typeof input.password === 'string' ? await sealSecret(context, id, input.password) : null,
    priority: input.priority ?? DEFAULT_PRIORITY,
    weight: input.weight ?? DEFAULT_WEIGHT,
    fromDomains: canonicalDomains(input.fromDomains ?? []),
    limits: nextLimits(NO_LIMITS, input.limits),
    version: 1,
    createdAt: nowMs,
    updatedAt: nowMs,
  };
  checkCredentials(relay);
  await checkRelayAddresses(context, relay.host);
  await store.insertRelay(scope, relay, { actor: actorName(actor), action: 'relay.created', target: id });
  await refreshOutboxes(context);
  return relay;
}

export async function getRelay(context: ServiceContext, id: string): Promise<store.StoredRelay> {
  const relay = await store.findRelay(context.scope, id);
  if (!relay) throw notFound();
  return relay;
}

export function listRelays(context: ServiceContext, page: PageOf): Promise<Page<store.StoredRelay>> {
  return store.listRelays(context.scope, page);
}

/** Absent fields stay; null for `username` or `password` removes it. */
export async function updateRelay(
  context: ServiceContext,
  id: string,
  change: RelayChange,
): Promise<store.StoredRelay> {
  const { scope, actor } = context;
  const known = await getRelay(context, id);
  const port = change.port ?? known.port;
  const tls = change.tls ?? (change.port === undefined ? known.tls : defaultTlsFor(port));
  const address = checkedAddress(context, { host: change.host ?? known.host, port, tls });
  const next: store.StoredRelay = {
    ...known,
    ...address,
    name: change.name ?? known.name,
    auth: change.auth ?? known.auth,
    username: change.username === undefined ? known.username : change.username,
    sealedSecret: await nextSecret(context, known, change.password),
    priority: change.priority ?? known.priority,
    weight: change.weight ?? known.weight,
    fromDomains: change.fromDomains ? canonicalDomains(change.fromDomains) : known.fromDomains,
    limits: nextLimits(known.limits, change.limits),
    version: known.version + 1,
    updatedAt: Date.now(),
  };
  checkCredentials(next);
  // Otherwise anyone who may edit a relay could point it at a server of their own and read the password there.
  const moved = address.host !== known.host || address.port !== known.port || address.tls !== known.tls;
  if (moved && next.sealedSecret !== null && change.password === undefined) {
    const reason = 'must be given again where `host`, `port` or `tls` change';
    throw new AppError('invalid_field', { field: 'password', reason });
  }
  if (change.host !== undefined) await checkRelayAddresses(context, next.host);
  const audit = {
    actor: actorName(actor),
    action: 'relay.updated',
    target: id,
    details: { version: next.version },
  };
  if (!(await store.updateRelay(scope, next, audit))) {
    throw new AppError('conflict', { reason: 'The relay was changed meanwhile. Read it and try again.' });
  }
  await refreshOutboxes(context);
  return next;
}

export async function deleteRelay(context: ServiceContext, id: string): Promise<void> {
  const audit = { actor: actorName(context.actor), action: 'relay.deleted', target: id };
  if (!(await store.deleteRelay(context.scope, id, audit))) throw notFound();
  await refreshOutboxes(context);
}

/**
 * Refuses a message that names a relay which the account does not have; one of another account is answered
 * the same. `relayIds` are those of the messages of a request, in their order.
 */
export async function checkNamedRelays(
  context: ServiceContext,
  relayIds: readonly (string | undefined)[],
  fieldOf: (index: number) => string,
): Promise<void> {
  const named = [...new Set(relayIds.filter((id) => id !== undefined))];
  if (named.length === 0) return;
  const { env, scope } = context;
  // What is remembered may be older than the relay, so what is not in there is looked up.
  const known = new Set((await findAccountState(env, scope))?.relayIds);
  const unknown = named.filter((id) => !known.has(id));
  const found = unknown.length === 0 ? [] : await store.findRelayIds(scope, unknown);
  const missing = unknown.filter((id) => !found.includes(id));
  const index = relayIds.findIndex((id) => id !== undefined && missing.includes(id));
  if (index >= 0) {
    throw new AppError('invalid_field', { field: fieldOf(index), reason: 'this account has no such relay' });
  }
}

/** Where the secret of a relay is sealed for. */
export function relaySecretPlace(accountId: string, relayId: string): SealedPlace {
  return { accountId, table: 'relays', column: 'sealed_secret', rowId: relayId };
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
}

function checkedAddress(context: ServiceContext, address: Address): Address {
  const { ALLOW_PRIVATE_RELAYS, ALLOW_PLAINTEXT_RELAYS } = settingsOf(context.env);
  const checked = checkRelayHost(address.host, { allowPrivate: ALLOW_PRIVATE_RELAYS });
  if (!checked.ok) throw new AppError('field_refused', { field: 'host', reason: checked.reason });
  const portReason = refusedPortReason(address.port);
  if (portReason !== undefined) throw new AppError('field_refused', { field: 'port', reason: portReason });
  if (address.tls === 'none' && !ALLOW_PLAINTEXT_RELAYS) {
    throw new AppError('field_refused', { field: 'tls', reason: 'this deployment insists on TLS' });
  }
  return { ...address, host: checked.host };
}

/** Nothing to check where a relay may be anywhere. In Cloudflare's network the platform reaches none. */
export async function checkRelayAddresses(context: ServiceContext, host: string): Promise<void> {
  if (settingsOf(context.env).ALLOW_PRIVATE_RELAYS) return;
  await checkHost(context, host, { field: 'host', allowCloudflare: false });
}

function canonicalDomains(names: readonly string[]): readonly string[] {
  const domains = names.map((text, index) => {
    const name = canonicalDomain(text);
    const field = `from_domains[${index}]`;
    if ('reason' in name) throw new AppError('invalid_field', { field, reason: name.reason });
    return name.domain;
  });
  return [...new Set(domains)];
}

function nextLimits(known: store.StoredLimits, change: RelayInput['limits']): store.StoredLimits {
  if (change === undefined) return known;
  if (change === null) return NO_LIMITS;
  const next = (name: keyof store.StoredLimits) => (change[name] === undefined ? known[name] : change[name]);
  return {
    sessions: next('sessions'),
    perSecond: next('perSecond'),
    perMinute: next('perMinute'),
    perDay: next('perDay'),
    perSession: next('perSession'),
  };
}

function checkCredentials(relay: store.StoredRelay): void {
  if (relay.username !== null && relay.sealedSecret === null) {
    throw new AppError('missing_field', { field: 'password' });
  }
  if (relay.username === null && relay.sealedSecret !== null) {
    throw new AppError('missing_field', { field: 'username' });
  }
}

async function nextSecret(
  context: ServiceContext,
  known: store.StoredRelay,
  password: string | null | undefined,
) {
  if (password === undefined) return known.sealedSecret;
  return password === null ? null : sealSecret(context, known.id, password);
}

async function sealSecret(context: ServiceContext, relayId: string, password: string): Promise<Uint8Array> {
  const { env, scope } = context;
  const wrapped = (await findSendingState(scope))?.dataKeys.at(-1);
  if (!wrapped) throw new Error('the account has no data key');
  const key = unwrapDataKey(settingsOf(env).MASTER_KEYS, scope.accountId, wrapped);
  return seal(key, relaySecretPlace(scope.accountId, relayId), new TextEncoder().encode(password));
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Relay' });
}
