/** Everything sending needs to know of an account, in one round trip. */
import { asc, eq } from 'drizzle-orm';
import type { WrappedDataKey } from '../crypto/data-key.ts';
import type { AuthMethod, TlsMode } from '../smtp/types.ts';
import { type AccountScope, atomically } from './db.ts';
import { type StoredLimits, sendingColumns } from './relays.ts';
import { type AccountStatus, accounts, dataKeys, type InDoubtPolicy } from './schema/accounts.ts';
import { relays } from './schema/relays.ts';
import { suppressions } from './schema/suppressions.ts';
import type { WebhookStatus } from './schema/webhooks.ts';
import { webhooksOf } from './webhooks.ts';

/** How much a relay takes; what is absent is not limited. */
export interface RelayLimits {
  readonly sessions?: number;
  readonly perSecond?: number;
  readonly perMinute?: number;
  readonly perDay?: number;
  readonly perSession?: number;
}

export interface RelayRecord {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly auth: AuthMethod;
  readonly username?: string;
  readonly sealedSecret?: Uint8Array;
  /** Lower first. */
  readonly priority: number;
  /** The share of the mail among relays of one priority. */
  readonly weight: number;
  /** Canonical names; empty: every domain. */
  readonly fromDomains: readonly string[];
  readonly limits: RelayLimits;
  readonly version: number;
}

/** What delivering to a webhook needs. */
export interface WebhookRecord {
  readonly id: string;
  readonly endpoint: string;
  /** null: every type. */
  readonly events: readonly string[] | null;
  readonly status: WebhookStatus;
  readonly sealedSecret: Uint8Array;
  /** Used beside the other until then. */
  readonly previousSecret: Uint8Array | null;
  readonly previousUntil: number | null;
  /** Events from before are not for it. */
  readonly activeSince: number;
}

export interface SendingState {
  readonly accountStatus: AccountStatus;
  readonly shards: number;
  readonly inDoubtPolicy: InDoubtPolicy;
  readonly isUnconfirmed: boolean;
  readonly dailyQuota: number | null;
  readonly monthlyQuota: number | null;
  /** In days; null: as the settings say. */
  readonly retention: { readonly bodyDays: number | null; readonly metadataDays: number | null };
  /** Lowest number first; the last one seals. */
  readonly dataKeys: readonly WrappedDataKey[];
  /** Oldest first. */
  readonly relays: readonly RelayRecord[];
  /** False: no address needs to be looked up. */
  readonly hasSuppressions: boolean;
  readonly webhooks: readonly WebhookRecord[];
}

/** undefined where the account does not exist. */
export async function findSendingState(scope: AccountScope): Promise<SendingState | undefined> {
  const { db, accountId } = scope;
  const [[account], keys, relayRows, anySuppression, webhooks] = await atomically(scope, [
    db
      .select({
        status: accounts.status,
        shards: accounts.shards,
        inDoubtPolicy: accounts.inDoubtPolicy,
        unconfirmed: accounts.unconfirmed,
        dailyQuota: accounts.dailyQuota,
        monthlyQuota: accounts.monthlyQuota,
        bodyDays: accounts.bodyDays,
        metadataDays: accounts.metadataDays,
      })
      .from(accounts)
      .where(eq(accounts.accountId, accountId)),
    db
      .select({ number: dataKeys.number, wrapped: dataKeys.wrapped, masterVersion: dataKeys.masterVersion })
      .from(dataKeys)
      .where(eq(dataKeys.accountId, accountId))
      .orderBy(asc(dataKeys.number)),
    db.select(sendingColumns).from(relays).where(eq(relays.accountId, accountId)).orderBy(asc(relays.id)),
    db
      .select({ id: suppressions.id })
      .from(suppressions)
      .where(eq(suppressions.accountId, accountId))
      .limit(1),
    webhooksOf(scope),
  ] as const);
  if (!account) return undefined;
  return {
    accountStatus: account.status,
    shards: account.shards,
    inDoubtPolicy: account.inDoubtPolicy,
    isUnconfirmed: account.unconfirmed === 1,
    dailyQuota: account.dailyQuota,
    monthlyQuota: account.monthlyQuota,
    retention: { bodyDays: account.bodyDays, metadataDays: account.metadataDays },
    dataKeys: keys,
    hasSuppressions: anySuppression.length > 0,
    webhooks,
    relays: relayRows.map(({ username, sealedSecret, limits, ...rest }) => ({
      ...rest,
      limits: limitsOf(limits),
      ...(username !== null && { username }),
      ...(sealedSecret !== null && { sealedSecret }),
    })),
  };
}

function limitsOf({ sessions, perSecond, perMinute, perDay, perSession }: StoredLimits): RelayLimits {
  return {
    ...(sessions !== null && { sessions }),
    ...(perSecond !== null && { perSecond }),
    ...(perMinute !== null && { perMinute }),
    ...(perDay !== null && { perDay }),
    ...(perSession !== null && { perSession }),
  };
}
