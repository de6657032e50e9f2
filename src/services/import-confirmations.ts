/**
 * Confirmation mail for contacts that a file has put on lists with double opt-in, one email by itself under a key of
 * its own: a slice that is repeated mails nobody twice.
 */
import { AppError, type ErrorCode } from '../errors.ts';
import type { Confirmations } from '../outbox/client.ts';
import { confirmationsFor, type Invited } from './confirmation-mail.ts';
import { sendEmails } from './send-emails.ts';
import type { ServiceContext } from './service-context.ts';

const AT_ONCE = 8;

/** What is refused for one of these reasons now is accepted later: the slice is written again then. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'rate_limited',
  'backlog_full',
  'overloaded',
  'unavailable',
  'idempotency_in_progress',
  'account_suspended',
]);

/** Throws where it is worth trying the slice again. */
export async function mailImportConfirmations(
  context: ServiceContext,
  contacts: readonly Invited[],
  {
    importId,
    listIds,
    mayBeRepeated,
  }: { importId: string; listIds: readonly string[]; mayBeRepeated: boolean },
): Promise<Confirmations> {
  // Who was mailed before a crash was counted then.
  const asked = await confirmationsFor(context, contacts, listIds, { isLimited: !mayBeRepeated });
  let mailed = 0;
  const mail = async ({ contactId, listId, draft }: (typeof asked)[number]) => {
    if (!draft) return;
    const name = `import/${importId}/${contactId}/${listId}`;
    try {
      await sendEmails(context, [{ ...draft, asGiven: new TextEncoder().encode(name) }], {
        idempotencyKey: name,
      });
      mailed++;
    } catch (error) {
      if (!(error instanceof AppError) || PASSING.has(error.code)) throw error;
    }
  };
  for (let at = 0; at < asked.length; at += AT_ONCE) {
    await Promise.all(asked.slice(at, at + AT_ONCE).map(mail));
  }
  return { mailed, notMailed: asked.length - mailed };
}
