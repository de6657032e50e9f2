/** Everything sending needs to know of an account, in one round trip. */
import { asc, eq } from 'drizzle-orm';
import type { WrappedDataKey } from '../crypto/data-key.ts';
import type { AuthMethod, TlsMode } from '../smtp/types.ts';
import { type AccountScope, atomically } from './db.ts';
import { type AccountStatus, accounts, dataKeys } from './schema/accounts.ts';
import { relays } from './schema/relays.ts';

export interface RelayRecord {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly auth: AuthMethod;
  readonly username?: string;
  readonly sealedSecret?: Uint8Array;
  readonly version: number;
}

export interface SendingState {
  readonly accountStatus: AccountStatus;
  /** Lowest number first; the last one seals. */
  readonly dataKeys: readonly WrappedDataKey[];
  /** Oldest first. */
  readonly relays: readonly RelayRecord[];
}

/** undefined where the account does not exist. */
export async function findSendingState(scope: AccountScope): Promise<SendingState | undefined> {
  const { db, accountId } = scope;
  const [[account], keys, relayRows] = await atomically(scope, [
    db.select({ status: accounts.status }).from(accounts).where(eq(accounts.accountId, accountId)),
    db
      .select({ number: dataKeys.number, wrapped: dataKeys.wrapped, masterVersion: dataKeys.masterVersion })
      .from(dataKeys)
      .where(eq(dataKeys.accountId, accountId))
      .orderBy(asc(dataKeys.number)),
    db
      .select({
        id: relays.id,
        host: relays.host,
        port: relays.port,
        tls: relays.tls,
        auth: relays.auth,
        username: relays.username,
        sealedSecret: relays.sealedSecret,
        version: relays.version,
      })
      .from(relays)
      .where(eq(relays.accountId, accountId))
      .orderBy(asc(relays.id)),
  ] as const);
  if (!account) return undefined;
  return {
    accountStatus: account.status,
    dataKeys: keys,
    relays: relayRows.map(({ username, sealedSecret, ...rest }) => ({
      ...rest,
      ...(username !== null && { username }),
      ...(sealedSecret !== null && { sealedSecret }),
    })),
  };
}
