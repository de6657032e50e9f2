import type { Env } from '../env.ts';
import { type AccountScope, scopeOfOperator } from '../store/db.ts';

/** Who acts. */
export type Actor =
  | { readonly kind: 'api_key'; readonly keyId: string }
  | { readonly kind: 'operator' }
  /** Whoever has a signed link, which lets them read one thing. */
  | { readonly kind: 'link' };

/** The first parameter of every verb: on whose rows, by whom, in which request. */
export interface ServiceContext {
  readonly env: Env;
  readonly scope: AccountScope;
  readonly actor: Actor;
  readonly requestId: string;
}

/** How an actor is written in the audit log. */
export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case 'api_key':
      return actor.keyId;
    case 'operator':
    case 'link':
      return actor.kind;
  }
}

/** The operator acting on one account. Whether the account exists is for the verb to find out. */
export function operatorContext(env: Env, accountId: string, requestId: string): ServiceContext {
  return { env, scope: scopeOfOperator(env.DB, accountId), actor: { kind: 'operator' }, requestId };
}
