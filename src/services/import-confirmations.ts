/**
 * Confirmation mail for contacts that a file has put on lists with double opt-in. It goes in batches by the lines of
 * the file, each under a key of its own: a slice that is repeated mails nobody twice.
 */
import { AppError, type ErrorCode } from '../errors.ts';
import type { Confirmations } from '../outbox/client.ts';
import { confirmationsFor, type Invited } from './confirmation-mail.ts';
import { sendEmails } from './send-emails.ts';
import type { ServiceContext } from './service-context.ts';

const LINES_AT_ONCE = 100;

/** What is refused for one of these reasons now is accepted later: the slice is written again then. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'rate_limited',
  'backlog_full',
  'overloaded',
  'unavailable',
  'idempotency_in_progress',
  'account_suspended',
]);

/** Somebody whom a line has made or changed. */
export interface InvitedByLine extends Invited {
  readonly line: number;
}

/** Throws where it is worth trying the slice again. */
export async function mailImportConfirmations(
  context: ServiceContext,
  contacts: readonly InvitedByLine[],
  slice: { readonly importId: string; readonly firstLine: number; readonly listIds: readonly string[] },
): Promise<Confirmations> {
  const { importId, firstLine, listIds } = slice;
  // By their place in the slice: no two slices have a batch in common.
  const batches = Map.groupBy(contacts, ({ line }) => Math.floor((line - firstLine) / LINES_AT_ONCE));
  let mailed = 0;
  let notMailed = 0;
  for (const [number, batch] of [...batches].sort(([a], [b]) => a - b)) {
    for (const listId of listIds) {
      const name = `${importId}/${firstLine}/${number}/${listId}`;
      const { drafts, asked } = await confirmationsFor(context, batch, [listId], name);
      const isMailed = drafts.length > 0 && (await mail(context, drafts, `import/${name}`));
      mailed += isMailed ? drafts.length : 0;
      notMailed += asked - (isMailed ? drafts.length : 0);
    }
  }
  return { mailed, notMailed };
}

/** False where it is refused for good. */
async function mail(
  context: ServiceContext,
  drafts: Parameters<typeof sendEmails>[1],
  idempotencyKey: string,
): Promise<boolean> {
  const asGiven = new TextEncoder().encode(idempotencyKey);
  try {
    await sendEmails(
      context,
      drafts.map((draft) => ({ ...draft, asGiven })),
      { idempotencyKey },
    );
    return true;
  } catch (error) {
    if (!(error instanceof AppError) || PASSING.has(error.code)) throw error;
    // Accepted before, when more of them were pending.
    return error.code === 'idempotency_mismatch';
  }
}
