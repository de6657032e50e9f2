/** What an account knows of itself, and may change of itself. */
import { AppError } from '../errors.ts';
import { type OutboxStatistics, outboxOf } from '../outbox/client.ts';
import { type AccountRecord, updateAccount } from '../store/accounts.ts';
import type { InDoubtPolicy } from '../store/schema/accounts.ts';
import { getAccount } from './accounts.ts';
import { refreshOutboxes } from './refresh-outboxes.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export interface OwnAccount {
  readonly account: AccountRecord;
  readonly statistics: OutboxStatistics;
}

export async function getOwnAccount(context: ServiceContext): Promise<OwnAccount> {
  const account = await getAccount(context);
  return { account, statistics: await statisticsOf(context, account.shards) };
}

/** Absent fields stay. */
export async function changeOwnAccount(
  context: ServiceContext,
  change: { readonly name?: string | undefined; readonly inDoubtPolicy?: InDoubtPolicy | undefined },
): Promise<OwnAccount> {
  const { scope, actor } = context;
  const { name, inDoubtPolicy } = change;
  if (name === undefined && inDoubtPolicy === undefined) return getOwnAccount(context);
  const audit = {
    actor: actorName(actor),
    action: 'account.updated',
    target: scope.accountId,
    details: {
      renamed: name !== undefined,
      ...(inDoubtPolicy !== undefined && { in_doubt_policy: inDoubtPolicy }),
    },
  };
  const account = await updateAccount(
    scope,
    { ...(name !== undefined && { name }), ...(inDoubtPolicy !== undefined && { inDoubtPolicy }) },
    audit,
  );
  if (!account) throw new AppError('not_found', { what: 'Account' });
  // The key was checked before; the account was closed between.
  if (account.status === 'closed') throw new AppError('account_closed');
  await refreshOutboxes(context, account.shards);
  return { account, statistics: await statisticsOf(context, account.shards) };
}

async function statisticsOf({ env, scope }: ServiceContext, shards: number): Promise<OutboxStatistics> {
  const all = await Promise.all(
    Array.from({ length: shards }, (_, shard) => outboxOf(env, scope.accountId, shard).readStatistics()),
  );
  return {
    backlog: all.reduce((sum, { backlog }) => sum + backlog, 0),
    possibleDuplicates: all.reduce((sum, { possibleDuplicates }) => sum + possibleDuplicates, 0),
  };
}
