import { type KeyMode, newApiKey } from '../crypto/api-key.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import * as store from '../store/api-keys.ts';
import { isForeignKeyFault } from '../store/faults.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { Permission } from '../store/schema/api-keys.ts';
import { parseIpRange } from '../web/ip-range.ts';
import { forgetKey } from './authenticate-key.ts';
import { actorName, type ServiceContext } from './service-context.ts';

const MAX_OVERLAP_MS = 30 * 24 * 60 * 60 * 1000;

/** From where and until when a key may be used. */
interface KeyLimits {
  readonly allowedIps?: readonly string[] | undefined;
  readonly expiresAt?: number | null | undefined;
}

export interface CreatedApiKey {
  readonly id: string;
  /** Shown once; only its hash is stored. */
  readonly token: string;
}

export async function createApiKey(
  context: ServiceContext,
  options: {
    name: string;
    permission: Permission;
    domainId?: string | undefined;
    mode?: KeyMode | undefined;
  } & KeyLimits,
): Promise<CreatedApiKey> {
  const { token, ...key } = newApiKey(options.mode);
  const createdAt = Date.now();
  const id = newId('apiKey', createdAt);
  const { name, permission, domainId = null } = options;
  const { allowedIps = [], expiresAt = null } = checkedLimits(options, createdAt);
  const audit = {
    actor: actorName(context.actor),
    action: 'api_key.created',
    target: id,
    details: {
      permission,
      domain: domainId,
      allowed_ips: allowedIps.length,
      expires_at: expiresAt,
      ...(options.mode === 'test' ? { mode: 'test' } : {}),
    },
  };
  const row = { ...key, id, name, permission, domainId, allowedIps, expiresAt, createdAt };
  try {
    await store.insertApiKey(context.scope, row, audit);
  } catch (error) {
    // The composite foreign key refuses a domain of another account just like a missing one.
    if (isForeignKeyFault(error)) {
      throw new AppError('not_found', { what: domainId === null ? 'Account' : 'Domain' });
    }
    throw error;
  }
  return { id, token };
}

export function listApiKeys(context: ServiceContext, page: PageOf): Promise<Page<store.ApiKeyRecord>> {
  return store.listApiKeys(context.scope, page);
}

export async function getApiKey(context: ServiceContext, id: string): Promise<store.ApiKeyDetail> {
  const key = await store.findApiKey(context.scope, id, Date.now());
  if (!key) throw notFound();
  return key;
}

/** Absent fields stay. Takes hold at once in this isolate, elsewhere within seconds. */
export async function changeApiKey(
  context: ServiceContext,
  id: string,
  change: { readonly name?: string | undefined } & KeyLimits,
): Promise<void> {
  const { name } = change;
  const limits = checkedLimits(change, Date.now());
  const isEmpty = name === undefined && Object.keys(limits).length === 0;
  if (isEmpty) return void (await getApiKey(context, id));
  const { allowedIps, expiresAt } = limits;
  const audit = {
    actor: actorName(context.actor),
    action: name === undefined ? 'api_key.limited' : 'api_key.renamed',
    target: id,
    details: {
      ...(allowedIps && { allowed_ips: allowedIps.length }),
      ...(expiresAt !== undefined && { expires_at: expiresAt }),
    },
  };
  const fields = { ...(name !== undefined && { name }), ...limits };
  const changed = await store.updateApiKey(context.scope, id, { ...fields, audit });
  forgetKey(context.scope.accountId, id);
  if (!changed) throw notFound();
}

/**
 * A new secret for the same key: its id, name and limits stay. Each earlier secret is good until its own time, so a
 * rotation that is repeated because its answer was lost takes nothing away from what is in use.
 */
export async function rotateApiKey(
  context: ServiceContext,
  id: string,
  validUntil: number,
): Promise<CreatedApiKey & { readonly previousValidUntil: number | null }> {
  const { prefix } = await getApiKey(context, id);
  // A test key stays one.
  const { token, ...secret } = newApiKey(prefix === 'er_test' ? 'test' : 'live');
  const nowMs = Date.now();
  if (validUntil > nowMs + MAX_OVERLAP_MS) {
    throw new AppError('invalid_field', { field: 'until', reason: 'at most 30 days from now' });
  }
  const audit = {
    actor: actorName(context.actor),
    action: 'api_key.rotated',
    target: id,
    details: { previous_valid_until: validUntil },
  };
  const rotated = await store.rotateApiKey(context.scope, id, { secret, nowMs, validUntil, audit });
  forgetKey(context.scope.accountId, id);
  if (!rotated) throw notFound();
  return { id, token, previousValidUntil: validUntil > nowMs ? validUntil : null };
}

function checkedLimits(
  { allowedIps, expiresAt }: KeyLimits,
  nowMs: number,
): Pick<store.ApiKeyChange, 'allowedIps' | 'expiresAt'> {
  allowedIps?.forEach((text, index) => {
    if (parseIpRange(text)) return;
    const reason = 'must be an address or a range like 192.0.2.0/24 or 2001:db8::/32';
    throw new AppError('invalid_field', { field: `allowed_ips[${index}]`, reason });
  });
  if (typeof expiresAt === 'number' && expiresAt <= nowMs) {
    throw new AppError('invalid_field', { field: 'expires_at', reason: 'must be in the future' });
  }
  return { ...(allowedIps && { allowedIps }), ...(expiresAt !== undefined && { expiresAt }) };
}

/** A key may delete itself. */
export async function deleteApiKey(context: ServiceContext, id: string): Promise<void> {
  const audit = { actor: actorName(context.actor), action: 'api_key.deleted', target: id };
  const deleted = await store.deleteApiKey(context.scope, id, audit);
  forgetKey(context.scope.accountId, id);
  if (!deleted) throw notFound();
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'API key' });
}
