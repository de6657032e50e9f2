/** All contacts, or those of a list, as one long list, read in pages as it is consumed. */
import type { Contact } from './contact-content.ts';
import { listContacts } from './contact-pages.ts';
import { type ContactProperty, loadProperties } from './contact-properties.ts';
import type { ServiceContext } from './service-context.ts';

const PAGE = 500;

export interface ContactExport {
  /** Those of the account, in the order of their keys. */
  readonly properties: readonly ContactProperty[];
  /** Newest first. */
  readonly contacts: AsyncGenerator<Contact>;
}

export async function exportContacts(
  context: ServiceContext,
  query: { readonly listId?: string | undefined },
): Promise<ContactExport> {
  const properties = [...(await loadProperties(context)).values()];
  properties.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { properties, contacts: pagesOf(context, query.listId) };
}

async function* pagesOf(context: ServiceContext, listId: string | undefined): AsyncGenerator<Contact> {
  let after: string | undefined;
  for (;;) {
    const { rows, hasMore } = await listContacts(context, { listId, limit: PAGE, after });
    yield* rows;
    after = rows.at(-1)?.id;
    if (!hasMore || after === undefined) return;
  }
}
