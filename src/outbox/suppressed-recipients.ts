/** Which recipients of a message the account does not mail. */
import { suppressionHash } from '../crypto/address-hash.ts';
import { openRecipients } from '../delivery/progress.ts';
import { logError } from '../log.ts';
import { type MessageSummary, openSummary, recipientsOf } from './message-content.ts';
import type { PumpContext } from './pump.ts';
import type { RoutedItem } from './relay-pool.ts';
import type { SendingState } from './sending-state.ts';
import type { SuppressionCheck } from './suppression-check.ts';
import { readerQuestionsOf } from './unwanted-recipients.ts';

/** So many of the messages that come next are looked up along with one. */
const MESSAGES_PER_CHECK = 100;

/** The open ones, by their place; undefined where that cannot be found out. */
export async function findSuppressedRecipients(
  { accountId, ledger, state }: Pick<PumpContext, 'accountId' | 'ledger' | 'state'>,
  { hasSuppressions, keys }: Pick<SendingState, 'hasSuppressions' | 'keys'>,
  { item, summary }: RoutedItem,
): Promise<readonly number[] | undefined> {
  if (!hasSuppressions && summary.topicId === undefined && summary.broadcastId === undefined) return [];
  const open = openRecipients(item.progress);
  const upcoming = () =>
    ledger.queue
      .peek(MESSAGES_PER_CHECK)
      .map((next) => openSummary(keys, { accountId, id: next.id }, next.summary));
  /** Those of the open ones about whom the check says so; each message has a question for each recipient, or none. */
  const found = async (check: SuppressionCheck, questionsOf: (of: MessageSummary) => readonly string[]) => {
    const questions = questionsOf(summary);
    if (questions.length === 0) return [];
    const asked = open.map((index) => questions[index] ?? '');
    const answers = await check.among(asked, () => upcoming().flatMap(questionsOf));
    return open.filter((index) => answers.has(questions[index] ?? ''));
  };
  const hashesOf = (of: MessageSummary) =>
    recipientsOf(of).map((mailbox) => suppressionHash(keys, mailbox.address));
  try {
    const suppressed = hasSuppressions ? await found(state.suppressions, hashesOf) : [];
    const unwanted = await found(state.unwanted, (of) => readerQuestionsOf(keys, of));
    return unwanted.length === 0
      ? suppressed
      : open.filter((one) => suppressed.includes(one) || unwanted.includes(one));
  } catch (error) {
    logError('suppressions_unavailable', error, { account_id: accountId });
    return undefined;
  }
}
