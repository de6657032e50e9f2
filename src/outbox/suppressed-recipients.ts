/** Which recipients of a message the account does not mail. */
import { suppressionHash } from '../crypto/address-hash.ts';
import { openRecipients } from '../delivery/progress.ts';
import { logError } from '../log.ts';
import { type MessageSummary, openSummary, recipientsOf } from './message-content.ts';
import type { PumpContext } from './pump.ts';
import type { RoutedItem } from './relay-pool.ts';
import type { SendingState } from './sending-state.ts';

/** So many of the messages that come next are looked up along with one. */
const MESSAGES_PER_CHECK = 100;

/** The open ones, by their place; undefined where that cannot be found out. */
export async function findSuppressedRecipients(
  { accountId, ledger, state }: Pick<PumpContext, 'accountId' | 'ledger' | 'state'>,
  { hasSuppressions, keys }: Pick<SendingState, 'hasSuppressions' | 'keys'>,
  { item, summary }: RoutedItem,
): Promise<readonly number[] | undefined> {
  if (!hasSuppressions) return [];
  const hashesOf = (of: MessageSummary) =>
    recipientsOf(of).map((mailbox) => suppressionHash(keys, mailbox.address));
  const hashes = hashesOf(summary);
  const open = openRecipients(item.progress);
  try {
    const suppressed = await state.suppressions.among(
      open.map((index) => hashes[index] ?? ''),
      () =>
        ledger.queue
          .peek(MESSAGES_PER_CHECK)
          .flatMap((next) => hashesOf(openSummary(keys, { accountId, id: next.id }, next.summary))),
    );
    return open.filter((index) => suppressed.has(hashes[index] ?? ''));
  } catch (error) {
    logError('suppressions_unavailable', error, { account_id: accountId });
    return undefined;
  }
}
