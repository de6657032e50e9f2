import type { Env } from '../env.ts';
import { type AccountScope, scopeOfDeployment, scopeOfNewAccount, scopeOfOperator } from '../store/db.ts';

/** Who acts. */
export type Actor =
  | { readonly kind: 'api_key'; readonly keyId: string; readonly isTest?: true }
  | { readonly kind: 'operator' }
  /** Somebody who opens an account for himself, or confirms the address of one. */
  | { readonly kind: 'registrant' }
  /** Whoever has a signed link, which lets them read one thing. */
  | { readonly kind: 'link' }
  /** Whoever has a link that was mailed to him, about what he gets. */
  | { readonly kind: 'recipient' }
  /** The deployment itself. */
  | { readonly kind: 'system' };

/** The account from which the deployment sends mail of its own. Nobody has a key of it. */
export const SYSTEM_ACCOUNT_ID = 'acc_00000000000000000000system';

/** The first parameter of every verb: on whose rows, by whom, in which request. */
export interface ServiceContext {
  readonly env: Env;
  readonly scope: AccountScope;
  readonly actor: Actor;
  readonly requestId: string;
  /** Where links in mail lead: the address of the deployment, as the settings or the request say it. */
  readonly origin?: string;
}

/** With a test key: its mail is simulated, and live mail is not its to change. */
export function isTestActor(actor: Actor): boolean {
  return actor.kind === 'api_key' && actor.isTest === true;
}

/** How an actor is written in the audit log. */
export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case 'api_key':
      return actor.keyId;
    default:
      return actor.kind;
  }
}

/** The operator acting on one account. Whether the account exists is for the verb to find out. */
export function operatorContext(env: Env, accountId: string, requestId: string): ServiceContext {
  return { env, scope: scopeOfOperator(env.DB, accountId), actor: { kind: 'operator' }, requestId };
}

/** For the verb that opens an account: of the id that was just made there are no rows yet. */
export function registrantContext(env: Env, accountId: string, requestId: string): ServiceContext {
  return { env, scope: scopeOfNewAccount(env.DB, accountId), actor: { kind: 'registrant' }, requestId };
}

export function systemContext(env: Env, requestId: string): ServiceContext {
  return { env, scope: scopeOfDeployment(env.DB, SYSTEM_ACCOUNT_ID), actor: { kind: 'system' }, requestId };
}
