/**
 * The way into D1. Rules of this folder:
 * - a store function takes the scope first, and every statement it makes filters by `account_id`;
 * - a scope is made only by the functions below, each named after the place that may make one;
 * - D1 has no interactive transactions: what belongs together goes through `atomically`;
 * - statements without an account live in `system/`, each with its reason.
 */
import type { BatchItem, BatchResponse } from 'drizzle-orm/batch';
import { type DrizzleD1Database, drizzle } from 'drizzle-orm/d1';

export type Database = DrizzleD1Database;

class Scope {
  readonly db: Database;
  readonly accountId: string;
  /** A private field makes the type nominal: no object literal passes for a scope. */
  readonly #made = true;

  constructor(db: Database, accountId: string) {
    this.db = db;
    this.accountId = accountId;
  }

  get isScope(): boolean {
    return this.#made;
  }
}

/** The right to touch the rows of one account. */
export type AccountScope = Scope;

/** After the key of a request was found by its hash. */
export function scopeOfAuthenticatedKey(d1: D1Database, key: { readonly accountId: string }): AccountScope {
  return new Scope(databaseOf(d1), key.accountId);
}

/** After the signature of a link was found to be ours. */
export function scopeOfVerifiedToken(d1: D1Database, token: { readonly accountId: string }): AccountScope {
  return new Scope(databaseOf(d1), token.accountId);
}

/** An Outbox, for the account in its own name. */
export function scopeOfOutbox(d1: D1Database, accountId: string): AccountScope {
  return new Scope(databaseOf(d1), accountId);
}

/** The operator of the deployment, acting on one account after the operator token was checked. */
export function scopeOfOperator(d1: D1Database, accountId: string): AccountScope {
  return new Scope(databaseOf(d1), accountId);
}

/** Somebody who registers, for the account id that was made for him right then. */
export function scopeOfNewAccount(d1: D1Database, accountId: string): AccountScope {
  return new Scope(databaseOf(d1), accountId);
}

/** The deployment, for the account from which it sends mail of its own. */
export function scopeOfDeployment(d1: D1Database, accountId: string): AccountScope {
  return new Scope(databaseOf(d1), accountId);
}

/** All or nothing, in one round trip. */
export function atomically<S extends BatchItem<'sqlite'>, T extends Readonly<[S, ...S[]]>>(
  scope: AccountScope,
  statements: T,
): Promise<BatchResponse<T>> {
  return scope.db.batch<S, T>(statements);
}

const databases = new WeakMap<D1Database, Database>();

/** For `system/` and this file only. */
export function databaseOf(d1: D1Database): Database {
  const known = databases.get(d1);
  if (known) return known;
  const made = drizzle(d1);
  databases.set(d1, made);
  return made;
}
