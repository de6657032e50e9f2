/** A permissive batch: each item is checked by itself, so that what is wrong with one does not keep the others. */
import { AppError, type ErrorCode } from '../errors.ts';
import type { EmailDraft } from './email-input.ts';
import { checkNamedRelays } from './relays.ts';
import { envelopeSender } from './send-emails.ts';
import type { ServiceContext } from './service-context.ts';
import { withUnsubscribeTerms } from './topic-mail.ts';

export interface SortedBatch {
  readonly drafts: readonly EmailDraft[];
  readonly errors: readonly { readonly index: number; readonly error: AppError }[];
}

/** Everything else is about the request, the account or us, and refuses the batch as a whole. */
const ABOUT_THE_ITEM: readonly ErrorCode[] = [
  'missing_field',
  'invalid_field',
  'unknown_field',
  'field_not_supported',
  'field_refused',
  'invalid_from',
  'invalid_attachment',
  'domain_not_verified',
];

export async function sortOut(
  context: ServiceContext,
  items: readonly unknown[],
  options: {
    readonly boundDomainId?: string | undefined;
    readonly read: (item: unknown) => Promise<EmailDraft>;
  },
): Promise<SortedBatch> {
  const drafts: EmailDraft[] = [];
  const errors: { index: number; error: AppError }[] = [];
  for (const [index, item] of items.entries()) {
    try {
      const draft = await options.read(item);
      await checkNamedRelays(context, [draft.summary.relayId], () => 'relay');
      await envelopeSender(context, draft, options);
      drafts.push(...(await withUnsubscribeTerms(context, [draft], (_index, field) => field)));
    } catch (error) {
      if (!(error instanceof AppError) || !ABOUT_THE_ITEM.includes(error.code)) throw error;
      errors.push({ index, error });
    }
  }
  return { drafts, errors };
}
