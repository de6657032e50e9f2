/** A broadcast as one person would get it, sent to somebody who wants to see it: an email like any other. */
import { AppError } from '../errors.ts';
import { RenderError } from '../render/render-template.ts';
import { readyBroadcast, renderBroadcast } from './broadcast-mail.ts';
import { getOpen } from './broadcasts.ts';
import type { ContactContent } from './contact-content.ts';
import { loadProperties, type PropertyValue, propertyValueOf } from './contact-properties.ts';
import { type EmailDraft, readEmail } from './email-input.ts';
import { withTemplate } from './send-broadcast.ts';
import type { ServiceContext } from './service-context.ts';
import { newLinkMarks } from './topic-mail.ts';
import { originOf } from './unsubscribe-links.ts';

export interface BroadcastTest {
  readonly to: string;
  /** In place of somebody on the list. */
  readonly contact?:
    | {
        readonly email?: string | undefined;
        readonly first_name?: string | null | undefined;
        readonly last_name?: string | null | undefined;
        readonly properties?: Readonly<Record<string, unknown>> | undefined;
      }
    | undefined;
}

/** Its links are those of whoever gets it. */
export async function readBroadcastTest(
  context: ServiceContext,
  id: string,
  test: BroadcastTest,
): Promise<EmailDraft> {
  const { record, content } = await getOpen(context, id);
  const ready = readyBroadcast(content.fixed ? content : await withTemplate(context, content));
  if (!ready) throw new AppError('conflict', { reason: 'This broadcast cannot be rendered.' });
  const origin = originOf(context);
  if (origin === undefined) throw new AppError('unavailable');
  const properties = await loadProperties(context);
  const linkMarks = newLinkMarks();
  const contact = sampleOf(test, properties);
  const mail = rendered(() => renderBroadcast(ready, { contact, properties, links: linkMarks }));
  const { from, replyTo } = ready;
  const draft = readEmail({ from: from.address, to: test.to, ...mail }, {});
  const [recipient] = draft.summary.to;
  return {
    ...draft,
    summary: { ...draft.summary, from, replyTo },
    linkMarks,
    unsubscribe: {
      origin,
      mailedTo: { address: recipient?.address ?? '', topicId: record.topicId ?? undefined },
    },
    // What was drawn by lot for its links is no part of the request.
    asGiven: new TextEncoder().encode(JSON.stringify([id, record.updatedAt, test])),
  };
}

function sampleOf(
  { to, contact = {} }: BroadcastTest,
  properties: Awaited<ReturnType<typeof loadProperties>>,
): ContactContent {
  const values: Record<string, PropertyValue> = {};
  for (const [key, value] of Object.entries(contact.properties ?? {})) {
    const property = properties.get(key);
    const field = `contact.properties.${key.slice(0, 60)}`;
    if (!property) {
      throw new AppError('invalid_field', { field, reason: 'there is no contact property of that key' });
    }
    if (value !== null) values[property.id] = propertyValueOf(property.type, value, field);
  }
  const { email = to, first_name: firstName = null, last_name: lastName = null } = contact;
  return { email, firstName, lastName, values };
}

function rendered<T>(render: () => T): T {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof RenderError)) throw error;
    const reason = 'with this contact the broadcast cannot be rendered';
    throw new AppError('invalid_field', { field: 'contact', reason });
  }
}
