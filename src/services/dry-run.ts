/** What would become of a message, without sending it: nothing is written, no key is claimed, nothing is counted. */
import { keyedHash } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { newMessageId } from '../ids.ts';
import { compose } from '../mime/compose.ts';
import { acceptedMessage, type ExplainedChoice, outboxOf, recipientsOf } from '../outbox/client.ts';
import { findAccountState } from './account-state.ts';
import type { EmailDraft } from './email-input.ts';
import { type EmailOverview, overviewOfOpen } from './read-emails.ts';
import { envelopeSender, refuseInactive } from './send-emails.ts';
import { isTestActor, type ServiceContext } from './service-context.ts';

export interface DryRun {
  readonly email: EmailOverview;
  readonly envelope: { readonly from: string; readonly recipients: readonly string[] };
  /** Absent for a test key: its mail goes to the simulator. */
  readonly choice?: ExplainedChoice;
  readonly mime: Uint8Array;
}

/** Throws what sending would throw. */
export async function dryRun(
  context: ServiceContext,
  draft: EmailDraft,
  options: { readonly boundDomainId?: string | undefined },
): Promise<DryRun> {
  const { env, scope, actor } = context;
  const { accountId } = scope;
  const account = await findAccountState(env, scope);
  const key = account?.dataKeys.at(-1);
  if (!account || !key) throw new AppError('unavailable');
  const isTest = isTestActor(actor);
  refuseInactive(account, isTest);
  const summary = { ...draft.summary, envelopeFrom: await envelopeSender(context, draft, options) };
  const nowMs = Date.now();
  const scheduledAtMs = draft.scheduledTime?.atMs;
  const id = newMessageId(0, nowMs);
  const recipients = recipientsOf(summary);
  const message = acceptedMessage(
    {
      id,
      recipientCount: recipients.length,
      ...(summary.rejected ? { rejections: summary.rejected.map(({ reason }) => reason) } : {}),
      ...(scheduledAtMs === undefined ? {} : { scheduledAtMs }),
      ...(isTest ? { isTest } : {}),
      summary: new Uint8Array(),
      head: [],
      attachments: [],
    },
    nowMs,
  );
  const { from, to, cc, replyTo, subject, relayId } = summary;
  const composed = await compose(
    {
      from,
      to,
      cc,
      replyTo,
      subject,
      ...draft.head,
      messageId: `${id}@${from.domain}`,
      dateMs: scheduledAtMs ?? nowMs,
      boundarySeed: Buffer.from(keyedHash(key, 'boundary', id)).toString('hex'),
    },
    async function* (index) {
      const content = draft.attachments[index];
      // The body of a dry run is read whole: nothing of it is staged.
      if (content instanceof Uint8Array) yield content;
    },
  );
  const pieces: Uint8Array[] = [];
  for await (const piece of composed.pieces) pieces.push(piece);
  const route = { fromDomain: from.domain, ...(relayId === undefined ? {} : { relayId }) };
  return {
    email: overviewOfOpen(account.dataKeys, accountId, { message, summary }),
    envelope: { from: summary.envelopeFrom, recipients: recipients.map(({ address }) => address) },
    ...(isTest ? {} : { choice: await outboxOf(env, accountId, 0).explainRoute(accountId, route) }),
    mime: Buffer.concat(pieces),
  };
}
