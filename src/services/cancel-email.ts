/** Taking mail back, and sending it at another time. */
import { AppError } from '../errors.ts';
import { parseMessageId } from '../ids.ts';
import { outboxOf } from '../outbox/client.ts';
import { type EmailDetail, getEmail } from './read-emails.ts';
import { readScheduledTime } from './scheduled-time.ts';
import { isTestActor, type ServiceContext } from './service-context.ts';

/**
 * Once this returns, no final dot of the email leaves any more: what was not delivered is canceled, what was stays
 * so. Throws where nothing is left to cancel, or where a dot may have left and the relay has not answered.
 */
export async function cancelEmail(context: ServiceContext, id: string): Promise<EmailDetail> {
  const { env, scope } = context;
  const email = await getChangeableEmail(context, id);
  const outcome = await outboxOf(env, scope.accountId, parseMessageId(id)?.shard).cancelMessage(id);
  switch (outcome) {
    case 'canceled':
      return getEmail(context, id);
    case 'not_found':
      throw new AppError('not_found', { what: 'Email' });
    case 'at_dot':
      throw new AppError('send_in_progress');
    case 'ended':
      throw new AppError('already_sent', {
        deliveries: whatBecame((await getEmail(context, email.message.id)).message),
      });
  }
}

/** Only while it is scheduled. A time that is not ahead means at once. */
export async function rescheduleEmail(
  context: ServiceContext,
  id: string,
  scheduledAt: string,
): Promise<EmailDetail> {
  const { env, scope } = context;
  await getChangeableEmail(context, id);
  const nowMs = Date.now();
  const { atMs } = readScheduledTime(scheduledAt, 'scheduled_at', nowMs);
  const outbox = outboxOf(env, scope.accountId, parseMessageId(id)?.shard);
  switch (await outbox.rescheduleMessage(id, atMs ?? nowMs)) {
    case 'rescheduled':
      return getEmail(context, id);
    case 'not_found':
      throw new AppError('not_found', { what: 'Email' });
    case 'not_scheduled':
      throw new AppError('not_scheduled');
  }
}

/** Throws not-found, and where a test key would change live mail. */
export async function getChangeableEmail(context: ServiceContext, id: string): Promise<EmailDetail> {
  const email = await getEmail(context, id);
  if (isTestActor(context.actor) && !email.message.isTest) throw new AppError('test_key_refused');
  return email;
}

/** `2 delivered, 1 in_doubt`. */
function whatBecame({ deliveries }: EmailDetail['message']): string {
  const counts = new Map<string, number>();
  for (const { status } of deliveries) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} ${status}`).join(', ');
}
