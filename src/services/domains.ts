import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { canonicalDomain } from '../mime/domain.ts';
import * as store from '../store/domains.ts';
import { isForeignKeyFault } from '../store/faults.ts';
import type { Page, PageOf } from '../store/page.ts';
import { recordAccountEvents } from './account-events.ts';
import { forgetAccount } from './account-state.ts';
import { actorName, type ServiceContext } from './service-context.ts';

/** A domain that waits to be verified. */
export async function createDomain(context: ServiceContext, name: string): Promise<store.DomainRecord> {
  const { scope, actor } = context;
  const createdAt = Date.now();
  const domain = { id: newId('domain', createdAt), name: domainNameOf(name), createdAt };
  const audit = { actor: actorName(actor), action: 'domain.created', target: domain.id };
  if (!(await store.insertDomain(scope, domain, audit))) {
    throw new AppError('conflict', { reason: 'This account already has a domain of that name.' });
  }
  forgetAccount(scope.accountId);
  const made = { ...domain, status: 'pending', returnPath: null } as const;
  await recordAccountEvents(context, [{ type: 'domain.created', data: eventData(made) }]);
  return made;
}

/** The operator vouches for a domain of an account. Repeating it is harmless. */
export async function putVerifiedDomain(
  context: ServiceContext,
  options: { name: string; returnPath?: string | undefined },
): Promise<store.DomainRecord> {
  const { scope, actor } = context;
  const nowMs = Date.now();
  const name = domainNameOf(options.name);
  const returnPath = options.returnPath;
  const audit = { actor: actorName(actor), action: 'domain.verified', target: name };
  try {
    const domain = await store.putVerifiedDomain(
      scope,
      { id: newId('domain', nowMs), name, returnPath, nowMs },
      audit,
    );
    if (!domain) throw new AppError('not_found', { what: 'Domain' });
    await recordAccountEvents(context, [{ type: 'domain.updated', data: eventData(domain) }]);
    return domain;
  } catch (error) {
    if (isForeignKeyFault(error)) throw new AppError('not_found', { what: 'Account' });
    throw error;
  } finally {
    forgetAccount(scope.accountId);
  }
}

export async function getDomain(context: ServiceContext, id: string): Promise<store.DomainRecord> {
  const domain = await store.findDomain(context.scope, id);
  if (!domain) throw notFound();
  return domain;
}

export function listDomains(context: ServiceContext, page: PageOf): Promise<Page<store.DomainRecord>> {
  return store.listDomains(context.scope, page);
}

export async function deleteDomain(context: ServiceContext, id: string): Promise<void> {
  const { scope, actor } = context;
  const audit = { actor: actorName(actor), action: 'domain.deleted', target: id };
  const domain = await getDomain(context, id);
  try {
    if (!(await store.deleteDomain(scope, id, audit))) throw notFound();
  } catch (error) {
    // To cut the bond instead would let the key send from every domain.
    if (isForeignKeyFault(error)) {
      throw new AppError('conflict', {
        reason: 'An API key is restricted to this domain. Delete the key first.',
      });
    }
    throw error;
  } finally {
    forgetAccount(scope.accountId);
  }
  await recordAccountEvents(context, [{ type: 'domain.deleted', data: eventData(domain) }]);
}

/** As the SDK's webhook events have it. */
function eventData({ id, name, status, createdAt }: store.DomainRecord) {
  return { id, name, status, created_at: new Date(createdAt).toISOString(), region: 'auto', records: [] };
}

function domainNameOf(text: string): string {
  const name = canonicalDomain(text);
  if ('reason' in name) throw new AppError('invalid_field', { field: 'name', reason: name.reason });
  if (!name.domain.includes('.')) {
    throw new AppError('invalid_field', { field: 'name', reason: 'must have at least two labels' });
  }
  return name.domain;
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Domain' });
}
