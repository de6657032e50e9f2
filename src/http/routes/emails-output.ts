/** How mail is shown: in the wire format's fields, and in our own beside them. */
import { formatMailbox } from '../../mime/address.ts';
import type { Mailbox } from '../../mime/types.ts';
import type { TimelineEvent } from '../../outbox/client.ts';
import type { EmailDetail, EmailOverview } from '../../services/read-emails.ts';
import { isoTime } from '../pagination.ts';

export function overviewBody({ message, summary }: EmailOverview) {
  return {
    id: message.id,
    from: formatMailbox(summary.from),
    to: formatAll(summary.to),
    cc: formatAll(summary.cc),
    bcc: formatAll(summary.bcc),
    reply_to: formatAll(summary.replyTo),
    subject: summary.subject,
    created_at: isoTime(message.acceptedAtMs),
    last_event: lastEvent(message.timeline),
    scheduled_at: null,
    tags: summary.tags,
    relay: summary.relayId ?? null,
    in_doubt_policy: summary.inDoubtPolicy ?? null,
  };
}

export function detailBody(detail: EmailDetail) {
  const { message, summary, head, recipients, replies } = detail;
  return {
    object: 'email' as const,
    ...overviewBody(detail),
    message_id: `<${message.id}@${summary.from.domain}>`,
    text: head?.text ?? null,
    html: head?.html ?? null,
    possible_duplicates: message.possibleDuplicates,
    deliveries: message.deliveries.map((delivery, index) => ({
      index,
      recipient: recipients[index] ?? null,
      status: delivery.status,
      relay: delivery.relayId ?? null,
      attempts: delivery.attempts,
      last_reply: replies.get(index) ?? null,
      reason: delivery.reason ?? null,
      updated_at: isoTime(delivery.updatedAtMs),
      next_attempt_at: delivery.nextAttemptAtMs === undefined ? null : isoTime(delivery.nextAttemptAtMs),
    })),
    timeline: message.timeline.map((event) => ({
      type: event.type,
      created_at: isoTime(event.atMs),
      recipients: event.recipients?.map((index) => recipients[index] ?? null) ?? recipients,
      relay: event.relayId ?? null,
      code: event.code ?? null,
      enhanced_code: event.enhanced ?? null,
      reason: event.reason ?? null,
    })),
  };
}

function formatAll(mailboxes: readonly Mailbox[]): string[] {
  return mailboxes.map(formatMailbox);
}

/** What the wire format calls our events. It knows no doubt and no expiry; what is not in here it need not know. */
const WIRE_EVENTS: Readonly<Record<string, string>> = {
  queued: 'queued',
  delivered: 'delivered',
  delivery_delayed: 'delivery_delayed',
  in_doubt: 'delivery_delayed',
  bounced: 'bounced',
  failed: 'failed',
  expired: 'failed',
  suppressed: 'suppressed',
  canceled: 'canceled',
};
const WIRE_RESOLUTIONS: Readonly<Record<string, string>> = {
  delivered: 'delivered',
  drop: 'canceled',
  resend: 'delivery_delayed',
};

function lastEvent(timeline: readonly TimelineEvent[]): string {
  const known = timeline.map(({ type, reason }) =>
    type === 'resolved' ? WIRE_RESOLUTIONS[reason ?? ''] : WIRE_EVENTS[type],
  );
  return known.findLast((event) => event !== undefined) ?? 'queued';
}
