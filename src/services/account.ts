/** What an account knows of itself, and may change of itself. */
import { type Env, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { outboxOf, type Retention, retentionInForce } from '../outbox/client.ts';
import { type AccountChange, type AccountRow, updateAccount } from '../store/accounts.ts';
import type { InDoubtPolicy } from '../store/schema/accounts.ts';
import {
  type AccountRecord,
  emailHashOf,
  openAccount,
  openProfile,
  type Profile,
  resealProfile,
} from './account-profile.ts';
import { getAccount, getAccountRow } from './accounts.ts';
import { type QuotaStates, quotaStates } from './quota.ts';
import { refreshOutboxes } from './refresh-outboxes.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export interface OwnAccount {
  readonly account: AccountRecord;
  readonly statistics: { readonly backlog: number; readonly possibleDuplicates: number };
  readonly quotas: QuotaStates;
}

/** Absent fields stay. */
export interface OwnChange {
  readonly inDoubtPolicy?: InDoubtPolicy | undefined;
  /** null: as the deployment keeps it. */
  readonly retention?: { readonly [field in keyof Retention]?: number | null | undefined } | undefined;
  /** `email` only while no address is confirmed. */
  readonly profile: { readonly [field in keyof Profile]?: Profile[field] | undefined };
}

type ChangedSettings = Pick<AccountChange, 'inDoubtPolicy' | 'bodyDays' | 'metadataDays'>;

/** Each further one means that another change got in between. */
const MAX_ATTEMPTS = 5;

export async function getOwnAccount(context: ServiceContext): Promise<OwnAccount> {
  return withState(context, await getAccount(context));
}

export async function changeOwnAccount(context: ServiceContext, change: OwnChange): Promise<OwnAccount> {
  const fields = Object.fromEntries(
    Object.entries(change.profile).filter(([, value]) => value !== undefined),
  ) as Partial<Profile>;
  const settings = {
    ...(change.inDoubtPolicy !== undefined && { inDoubtPolicy: change.inDoubtPolicy }),
    ...daysOf(change.retention ?? {}),
  };
  if (Object.keys(fields).length === 0 && Object.keys(settings).length === 0) return getOwnAccount(context);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const account = await tryChange(context, settings, fields);
    if (!account) continue;
    await refreshOutboxes(context, account.shards);
    return withState(context, account);
  }
  throw new AppError('conflict', { reason: 'The account is being changed by other requests. Try again.' });
}

/** undefined where another change got in between. */
async function tryChange(
  context: ServiceContext,
  settings: ChangedSettings,
  fields: Partial<Profile>,
): Promise<AccountRecord | undefined> {
  const { env, scope, actor } = context;
  const row = await getAccountRow(context);
  const before = openProfile(env, row);
  if (fields.email !== undefined && fields.email !== before.email && row.unconfirmed === 0) {
    throw new AppError('field_refused', {
      field: 'email',
      reason: 'the address of this account is confirmed',
    });
  }
  refuseLongRetention(env, row, settings);
  const profile = { ...before, ...fields };
  const changed = await updateAccount(
    scope,
    {
      ...settings,
      ...(Object.keys(fields).length > 0 && {
        profile: {
          before: row.sealedProfile,
          sealed: resealProfile(env, row, profile),
          emailHash: profile.email === null ? null : emailHashOf(env, profile.email),
        },
      }),
    },
    {
      actor: actorName(actor),
      action: 'account.updated',
      target: scope.accountId,
      details: detailsOf(settings, fields),
    },
  );
  if (!changed) throw new AppError('not_found', { what: 'Account' });
  // The key was checked before; the account was closed between.
  if (changed.account.status === 'closed') throw new AppError('account_closed');
  return changed.isChanged ? openAccount(env, changed.account) : undefined;
}

function daysOf({ bodyDays, metadataDays }: NonNullable<OwnChange['retention']>): ChangedSettings {
  return { ...(bodyDays !== undefined && { bodyDays }), ...(metadataDays !== undefined && { metadataDays }) };
}

/** What is asked for by name is what comes into force, or is refused. */
function refuseLongRetention(env: Env, row: AccountRow, { bodyDays, metadataDays }: ChangedSettings): void {
  const longest = retentionInForce(settingsOf(env));
  const wanted = {
    bodyDays: bodyDays === undefined ? row.bodyDays : bodyDays,
    metadataDays: metadataDays === undefined ? row.metadataDays : metadataDays,
  };
  const inForce = retentionInForce(settingsOf(env), wanted);
  const refuse = (field: string, reason: string) => {
    throw new AppError('field_refused', { field: `retention.${field}`, reason });
  };
  if (metadataDays && metadataDays > longest.metadataDays) {
    refuse('metadata_days', `this deployment keeps metadata for at most ${longest.metadataDays} days`);
  }
  if (bodyDays && bodyDays > longest.bodyDays) {
    refuse('body_days', `this deployment keeps content for at most ${longest.bodyDays} days`);
  }
  if (bodyDays && bodyDays > inForce.bodyDays) {
    refuse('body_days', `content is kept no longer than metadata, and that for ${inForce.metadataDays} days`);
  }
}

/** Which fields, never what was in them. */
function detailsOf({ inDoubtPolicy, bodyDays, metadataDays }: ChangedSettings, fields: Partial<Profile>) {
  const others = Object.keys(fields).filter((field) => field !== 'name');
  return {
    renamed: fields.name !== undefined,
    ...(others.length > 0 && { fields: others.join(' ') }),
    ...(inDoubtPolicy !== undefined && { in_doubt_policy: inDoubtPolicy }),
    ...(bodyDays !== undefined && { body_days: bodyDays }),
    ...(metadataDays !== undefined && { metadata_days: metadataDays }),
  };
}

async function withState(context: ServiceContext, account: AccountRecord): Promise<OwnAccount> {
  const { env, scope } = context;
  const all = await Promise.all(
    Array.from({ length: account.shards }, (_, shard) =>
      outboxOf(env, scope.accountId, shard).readStatistics(),
    ),
  );
  return {
    account,
    statistics: {
      backlog: all.reduce((sum, { backlog }) => sum + backlog, 0),
      possibleDuplicates: all.reduce((sum, { possibleDuplicates }) => sum + possibleDuplicates, 0),
    },
    quotas: quotaStates(env, account, all),
  };
}
