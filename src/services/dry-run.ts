/** What would become of a message, without sending it: nothing is written, no key is claimed, nothing is counted. */
import { keyedHash, type SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { newMessageId } from '../ids.ts';
import { compose } from '../mime/compose.ts';
import { acceptedMessage, type ExplainedChoice, outboxOf, recipientsOf } from '../outbox/client.ts';
import { findAccountState } from './account-state.ts';
import type { EmailDraft } from './email-input.ts';
import { type EmailOverview, overviewOfOpen } from './read-emails.ts';
import { envelopeSender, refuseInactive, type SendOptions } from './send-emails.ts';
import { isTestActor, type ServiceContext } from './service-context.ts';
import { withLinks } from './topic-mail.ts';

export interface DryRun {
  readonly email: EmailOverview;
  readonly envelope: { readonly from: string; readonly recipients: readonly string[] };
  /** Absent for a test key: its mail goes to the simulator. */
  readonly choice?: ExplainedChoice;
  readonly mime: Uint8Array;
  readonly messageId: string;
}

/** Throws what sending would throw. */
export async function dryRun(
  context: ServiceContext,
  draft: EmailDraft,
  options: Pick<SendOptions, 'boundDomainId' | 'envelopeFrom' | 'id'>,
): Promise<DryRun> {
  const { env, scope, actor } = context;
  const { accountId } = scope;
  const account = await findAccountState(env, scope);
  const key = account?.dataKeys.at(-1);
  if (!account || !key) throw new AppError('unavailable');
  const isTest = isTestActor(actor);
  refuseInactive(account, isTest);
  const nowMs = Date.now();
  const scheduledAtMs = draft.scheduledTime?.atMs;
  const id = options.id ?? newMessageId(0, nowMs);
  const { draft: linked, ownHeaders } = withLinks(account.dataKeys, accountId, draft, id);
  const summary = { ...linked.summary, envelopeFrom: await envelopeSender(context, draft, options) };
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
  const { from, relayId } = summary;
  const { raw } = draft.head;
  const headers = [...linked.head.headers, ...ownHeaders];
  const written = { ...linked, head: { ...linked.head, headers } };
  const mime = raw
    ? contentOf(draft, 0)
    : await composed(key, { draft: written, id, dateMs: scheduledAtMs ?? nowMs });
  const route = { fromDomain: from.domain, ...(relayId === undefined ? {} : { relayId }) };
  return {
    email: overviewOfOpen(account.dataKeys, accountId, { message, summary }),
    envelope: { from: summary.envelopeFrom, recipients: recipients.map(({ address }) => address) },
    ...(isTest ? {} : { choice: await outboxOf(env, accountId, 0).explainRoute(accountId, route) }),
    mime,
    // As an example: an email that is sent gets its own, unless it came with one.
    messageId: raw?.messageId ?? `<${id}@${from.domain}>`,
  };
}

/** The body of a dry run is read whole: nothing of it is staged. */
function contentOf(draft: EmailDraft, index: number): Uint8Array {
  const content = draft.attachments[index];
  return content instanceof Uint8Array ? content : new Uint8Array();
}

async function composed(
  key: SealingKey,
  { draft, id, dateMs }: { readonly draft: EmailDraft; readonly id: string; readonly dateMs: number },
): Promise<Uint8Array> {
  const { from, to, cc, replyTo, subject } = draft.summary;
  const message = await compose(
    {
      ...{ from, to, cc, replyTo, subject },
      ...draft.head,
      messageId: `${id}@${from.domain}`,
      dateMs,
      boundarySeed: Buffer.from(keyedHash(key, 'boundary', id)).toString('hex'),
    },
    async function* (index) {
      yield contentOf(draft, index);
    },
  );
  const pieces: Uint8Array[] = [];
  for await (const piece of message.pieces) pieces.push(piece);
  return Buffer.concat(pieces);
}
