import { type KeyMode, newApiKey } from '../crypto/api-key.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import * as store from '../store/api-keys.ts';
import { isForeignKeyFault } from '../store/faults.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { Permission } from '../store/schema/api-keys.ts';
import { forgetKey } from './authenticate-key.ts';
import { actorName, type ServiceContext } from './service-context.ts';

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
  },
): Promise<CreatedApiKey> {
  const { token, ...key } = newApiKey(options.mode);
  const createdAt = Date.now();
  const id = newId('apiKey', createdAt);
  const { name, permission, domainId = null } = options;
  const audit = {
    actor: actorName(context.actor),
    action: 'api_key.created',
    target: id,
    details: { permission, domain: domainId, ...(options.mode === 'test' ? { mode: 'test' } : {}) },
  };
  try {
    await store.insertApiKey(context.scope, { ...key, id, name, permission, domainId, createdAt }, audit);
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

export async function renameApiKey(context: ServiceContext, id: string, name: string): Promise<void> {
  const audit = { actor: actorName(context.actor), action: 'api_key.renamed', target: id };
  if (!(await store.renameApiKey(context.scope, id, { name, audit }))) throw notFound();
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
