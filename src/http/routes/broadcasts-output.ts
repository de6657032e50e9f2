/** How broadcasts are shown: in the wire format's fields, and in our own beside them. */
import type { BroadcastRun } from '../../outbox/client.ts';
import { progressOf } from '../../services/broadcast-progress.ts';
import type { RecipientType } from '../../services/broadcast-recipients.ts';
import type { BroadcastDetail, BroadcastOverview } from '../../services/broadcasts.ts';
import type { EmailOverview } from '../../services/read-emails.ts';
import { isoTime } from '../pagination.ts';

/** What an act made of it. */
export function steeredBody(id: string, run: BroadcastRun | undefined) {
  return { object: 'broadcast' as const, id, status: run?.status ?? ('draft' as const) };
}

export function overviewBody({ id, name, listId, topicId, createdAt, status, run }: BroadcastOverview) {
  const isSent = run?.status === 'sent';
  return {
    id,
    name,
    segment_id: listId,
    audience_id: listId,
    list_id: listId,
    topic_id: topicId,
    status,
    created_at: isoTime(createdAt),
    scheduled_at: timeOrNull(run?.scheduledAtMs),
    sent_at: timeOrNull(isSent ? run.finishedAtMs : undefined),
  };
}

export function detailBody(broadcast: BroadcastDetail, nowMs: number) {
  const { content, run } = broadcast;
  const { from, subject, replyTo, previewText, html, text, template, fixed } = content;
  return {
    object: 'broadcast' as const,
    ...overviewBody(broadcast),
    from: from ?? fixed?.from ?? null,
    subject: subject ?? fixed?.subject ?? null,
    reply_to: replyTo ?? fixed?.replyTo ?? null,
    preview_text: previewText,
    html: html ?? fixed?.html ?? null,
    text: text ?? fixed?.text ?? null,
    template: template && { id: template.id, variables: template.variables },
    reason: run?.reason ?? null,
    progress: run ? progressBody(run, nowMs) : null,
  };
}

function progressBody(run: BroadcastRun, nowMs: number) {
  const { estimatedEndMs, waitingFor, inDoubt, ...counts } = progressOf(run, nowMs);
  return {
    ...counts,
    in_doubt: inDoubt,
    estimated_end: timeOrNull(estimatedEndMs),
    waiting_for: waitingFor,
    started_at: timeOrNull(run.startedAtMs),
    finished_at: timeOrNull(run.finishedAtMs),
  };
}

/** A message of a broadcast has one recipient. */
export function recipientBody({ message, summary, recipients }: EmailOverview, type: RecipientType) {
  const status = message.deliveries[0]?.status ?? null;
  return {
    id: message.id,
    contact_id: summary.contactId ?? null,
    email: recipients[0] ?? null,
    email_id: message.id,
    status,
    ...(type === 'bounced' && { bounce_type: status === 'expired' ? 'transient' : 'permanent' }),
  };
}

function timeOrNull(ms: number | null | undefined): string | null {
  return ms == null ? null : isoTime(ms);
}
