/** How mail is shown: in the wire format's fields, and in our own beside them. */
import { formatMailbox } from '../../mime/address.ts';
import type { Mailbox } from '../../mime/types.ts';
import type { LedgerMessage, Rejection } from '../../outbox/client.ts';
import type { DryRun } from '../../services/dry-run.ts';
import type { EmailDetail, EmailOverview } from '../../services/read-emails.ts';
import type { SentEmail } from '../../services/send-emails.ts';
import { isoTime } from '../pagination.ts';

export function overviewBody(email: EmailOverview) {
  const { message, summary } = email;
  return {
    id: message.id,
    from: formatMailbox(summary.from),
    to: formatAll(summary.to),
    cc: formatAll(summary.cc),
    bcc: formatAll(summary.bcc),
    reply_to: formatAll(summary.replyTo),
    subject: summary.subject,
    created_at: isoTime(message.acceptedAtMs),
    last_event: lastEvent(message),
    scheduled_at: message.scheduledAtMs === undefined ? null : isoTime(message.scheduledAtMs),
    tags: summary.tags,
    template_id: summary.templateId ?? null,
    broadcast_id: summary.broadcastId ?? null,
    topic_id: summary.topicId ?? null,
    relay: summary.relayId ?? null,
    in_doubt_policy: summary.inDoubtPolicy ?? null,
    mode: message.isTest ? 'test' : 'live',
    deliveries: deliveriesBody(email),
  };
}

/** `deliveries` is our own. It is empty for a repeated request whose mail is past its retention. */
export function sentBody(sent: SentEmail | undefined) {
  return { id: sent?.id, deliveries: sent?.email ? deliveriesBody(sent.email) : [] };
}

/** One for each recipient, also for those that were rejected at once. */
function deliveriesBody({ message, recipients, replies }: EmailOverview) {
  return message.deliveries.map((delivery, index) => ({
    index,
    recipient: recipients[index] ?? null,
    status: delivery.status,
    relay: delivery.relayId ?? null,
    attempts: delivery.attempts,
    last_reply: replies.get(index) ?? null,
    reason: delivery.reason ?? null,
    updated_at: isoTime(delivery.updatedAtMs),
    next_attempt_at: delivery.nextAttemptAtMs === undefined ? null : isoTime(delivery.nextAttemptAtMs),
  }));
}

export function detailBody(detail: EmailDetail) {
  const { message, summary, head, recipients, contentUntilMs } = detail;
  return {
    object: 'email' as const,
    ...overviewBody(detail),
    message_id: head?.raw?.messageId ?? `<${message.id}@${summary.from.domain}>`,
    text: head?.text ?? null,
    html: head?.html ?? null,
    content: {
      available: head !== undefined,
      kept_until: contentUntilMs === undefined ? null : isoTime(contentUntilMs),
    },
    possible_duplicates: message.possibleDuplicates,
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

export function dryRunBody({ email, envelope, choice, mime, messageId }: DryRun) {
  const { id: _id, last_event: _event, relay: _relay, broadcast_id: _none, ...shown } = overviewBody(email);
  return {
    object: 'dry_run' as const,
    ...shown,
    message_id: messageId,
    envelope,
    relay: choice ? (choice.chosen?.relayId ?? null) : 'simulator',
    relay_reason: choice ? (choice.chosen?.reason ?? 'none') : 'test_key',
    other_relays: (choice?.others ?? []).map(({ relayId, reason }) => ({ relay: relayId, reason })),
    size_bytes: mime.byteLength,
    mime_base64: Buffer.from(mime).toString('base64'),
  };
}

function formatAll(mailboxes: readonly Mailbox[]): string[] {
  return mailboxes.map(formatMailbox);
}

/** What the wire format calls our events. It knows no doubt and no expiry; what is not in here it need not know. */
const WIRE_EVENTS: Readonly<Record<string, string>> = {
  queued: 'queued',
  scheduled: 'scheduled',
  complained: 'complained',
  delivered: 'delivered',
  delivery_delayed: 'delivery_delayed',
  in_doubt: 'delivery_delayed',
  bounced: 'bounced',
  failed: 'failed',
  expired: 'failed',
  suppressed: 'suppressed',
  canceled: 'canceled',
};
const REJECTIONS: readonly string[] = ['invalid_address', 'test_address', 'suppressed'] satisfies Rejection[];
const WIRE_RESOLUTIONS: Readonly<Record<string, string>> = {
  delivered: 'delivered',
  drop: 'canceled',
  resend: 'delivery_delayed',
};

function lastEvent({ timeline, scheduledAtMs = 0 }: LedgerMessage): string {
  const known = timeline.map(({ type, reason }) => {
    if (type === 'resolved') return WIRE_RESOLUTIONS[reason ?? ''];
    // What was rejected at once says nothing about the rest.
    return REJECTIONS.includes(reason ?? '') ? undefined : WIRE_EVENTS[type];
  });
  const last = known.findLast((event) => event !== undefined) ?? 'queued';
  return last === 'scheduled' && scheduledAtMs <= Date.now() ? 'queued' : last;
}
