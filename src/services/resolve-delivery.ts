/** The customer decides about a delivery that is held in doubt. */
import { AppError } from '../errors.ts';
import { parseMessageId } from '../ids.ts';
import { outboxOf, type Resolution } from '../outbox/client.ts';
import { insertAudit } from '../store/audit-log.ts';
import { getChangeableEmail } from './cancel-email.ts';
import { type EmailDetail, getEmail } from './read-emails.ts';
import { actorName, type ServiceContext } from './service-context.ts';

/** The email after the decision. `n` is the delivery's place in the email; undefined is never one. */
export async function resolveDelivery(
  context: ServiceContext,
  id: string,
  decision: { readonly n: number | undefined; readonly resolution: Resolution },
): Promise<EmailDetail> {
  const { env, scope, actor } = context;
  const { n, resolution } = decision;
  const { message } = await getChangeableEmail(context, id);
  const delivery = n === undefined ? undefined : message.deliveries[n];
  if (n === undefined || !delivery) throw new AppError('not_found', { what: 'Delivery' });
  if (delivery.status !== 'in_doubt') throw notHeld();
  // Before the decision takes hold, and thus of one that the ledger may still refuse: a copy that somebody
  // ordered must never go out without its row.
  await insertAudit(scope, {
    actor: actorName(actor),
    action: 'delivery.resolution_requested',
    target: id,
    details: { delivery: n, resolution },
  });
  const outbox = outboxOf(env, scope.accountId, parseMessageId(id)?.shard);
  switch (await outbox.resolveDelivery(id, n, resolution)) {
    case 'resolved':
      return getEmail(context, id);
    case 'not_found':
      throw new AppError('not_found', { what: 'Delivery' });
    case 'not_in_doubt':
      throw notHeld();
  }
}

function notHeld(): AppError {
  return new AppError('conflict', { reason: 'This delivery is not held in doubt.' });
}
