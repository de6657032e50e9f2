/** Somebody confirms, by the link that was mailed to him, that he wants to be on a list. */
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import { confirmMember, findMemberships } from '../store/lists.ts';
import { getDataKeys } from './account-state.ts';
import { getContact, tellOfContact } from './contacts.ts';
import { openLastingToken } from './link-token.ts';
import { getList } from './lists.ts';
import { actorName, type ServiceContext } from './service-context.ts';
import { unsubscribeLinks } from './unsubscribe-links.ts';

export interface Membership {
  readonly listName: string;
}

export interface ConfirmedMembership extends Membership {
  /** By which he can choose what he gets, or leave again. */
  readonly unsubscribeToken: string;
}

interface Found extends Membership {
  readonly context: ServiceContext;
  readonly listId: string;
  readonly contactId: string;
  readonly address: string;
  readonly isPending: boolean;
}

/** Changes nothing. undefined where the link is not good, not any more, or not for him: one answer for all of them. */
export function findMembership(env: Env, token: string, requestId: string): Promise<Membership | undefined> {
  return find(env, token, requestId);
}

/** Harmless to repeat. undefined as above. */
export async function confirmMembership(
  env: Env,
  token: string,
  requestId: string,
): Promise<ConfirmedMembership | undefined> {
  const found = await find(env, token, requestId);
  if (!found) return undefined;
  const { context, listId, contactId, listName, address } = found;
  if (found.isPending) {
    const audit = { actor: actorName(context.actor), action: 'contact.confirmed', target: contactId };
    const isNew = await confirmMember(context.scope, { listId, contactId }, audit);
    if (isNew) await tellOfContact(context, 'contact.updated', contactId);
  }
  const keys = await getDataKeys(context);
  const { token: unsubscribeToken } = unsubscribeLinks(keys, context.scope.accountId, '', {
    contactId,
    address,
  });
  return { listName, unsubscribeToken };
}

async function find(env: Env, token: string, requestId: string): Promise<Found | undefined> {
  const opened = await openLastingToken(env, 'join', token);
  if (!opened) return undefined;
  const { scope, text } = opened;
  const [expiresAtMs, contactId = '', listId = '', ...rest] = text.split(',');
  if (!(Date.now() < Number(expiresAtMs))) return undefined;
  const context: ServiceContext = { env, scope, actor: { kind: 'recipient' }, requestId };
  try {
    const [membership] = await findMemberships(scope, contactId, [listId]);
    const { email } = await getContact(context, contactId);
    const { name } = await getList(context, listId);
    const address = rest.join();
    // Whoever has another address by now did not confirm that one.
    if (!membership || email.toLowerCase() !== address.toLowerCase()) return undefined;
    return {
      context,
      listId,
      contactId,
      listName: name,
      address,
      isPending: membership.status === 'pending',
    };
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return undefined;
    throw error;
  }
}
