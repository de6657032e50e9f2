/** One email of a broadcast: rendered for one recipient, from what was parsed once for all of them. */
import { parseMailbox } from '../mime/address.ts';
import { checkHeaderText } from '../mime/characters.ts';
import type { Mailbox } from '../mime/types.ts';
import { type EmailTemplate, parseEmailTemplate, renderEmailTemplate } from '../render/email-template.ts';
import { parseTemplate, type Template } from '../render/parse-template.ts';
import { withPreheader } from '../render/preheader.ts';
import { RenderBudget, RenderError, RequestBudget, renderTemplate } from '../render/render-template.ts';
import { type BroadcastContent, partsOfText } from './broadcast-content.ts';
import type { ContactContent } from './contact-content.ts';
import type { ContactProperty } from './contact-properties.ts';
import { readMailboxes } from './recipients.ts';
import type { TemplateValues } from './templated-email.ts';
import { linkValues, type ReaderLinks } from './unsubscribe-links.ts';

/** A broadcast as it is rendered. Nothing changes it. */
export interface ReadyBroadcast {
  readonly from: Mailbox;
  readonly replyTo: readonly Mailbox[];
  readonly parsed: EmailTemplate;
  readonly preview: Template;
  readonly values: TemplateValues;
  readonly templateId?: string;
  /** About what one email of it takes. */
  readonly cost: { readonly bytes: number; readonly steps: number };
}

export interface BroadcastMail {
  readonly subject: string;
  readonly html?: string;
  readonly text?: string;
}

export type Properties = ReadonlyMap<string, Pick<ContactProperty, 'id' | 'fallback'>>;

/** Somebody about whom as much is known as of many. */
const SAMPLE: ContactContent = {
  email: 'somebody.with.a.name@mail.example.com',
  firstName: 'Alexandra',
  lastName: 'Montgomery',
  values: {},
};
const SAMPLE_URL = `https://mail.example.com/u/${'x'.repeat(200)}`;

/** undefined where it cannot be rendered at all: what was saved by an older version, or was never complete. */
export function readyBroadcast(content: BroadcastContent): ReadyBroadcast | undefined {
  const { fixed, previewText, template } = content;
  const pick = <K extends 'from' | 'subject' | 'replyTo'>(name: K) => content[name] ?? fixed?.[name] ?? null;
  const { html, text } = template ? (fixed ?? { html: null, text: null }) : content;
  const subject = pick('subject');
  const from = parseMailbox(pick('from') ?? '');
  const parsed = parseEmailTemplate(partsOfText({ subject, html, text }));
  const preview = parseTemplate(previewText ?? '');
  const isComplete = subject !== null && (html !== null || text !== null);
  if (!isComplete || !from.ok || !parsed.ok || !preview.ok) return undefined;
  const ready: ReadyBroadcast = {
    from: from.mailbox,
    replyTo: readMailboxes(pick('replyTo') ?? undefined, 'reply_to'),
    parsed: parsed.template,
    preview: preview.template,
    values: fixed?.values ?? {},
    ...(template && { templateId: template.id }),
    cost: { bytes: 0, steps: 0 },
  };
  return { ...ready, cost: costOf(ready) };
}

/**
 * Throws `RenderError` where it takes too much, or something in it cannot be rendered. What a contact is called is
 * written where the template puts it: escaped in HTML, and on one line in the subject.
 */
export function renderBroadcast(
  ready: ReadyBroadcast,
  recipient: {
    readonly contact: ContactContent;
    readonly properties: Properties;
    readonly links: ReaderLinks;
  },
  budget?: RequestBudget,
): BroadcastMail {
  const data = dataOf(ready.values, recipient);
  const rendered = renderEmailTemplate(ready.parsed, data, 'empty', budget);
  const { subject, html } = rendered;
  // A text of which nothing is left is still the body.
  const text = rendered.text ?? (html === undefined ? '' : undefined);
  const preview = renderTemplate(ready.preview, data, {
    isHtml: false,
    missing: 'empty',
    budget: new RenderBudget(budget),
  });
  return {
    subject: onOneLine(subject ?? ''),
    ...(html !== undefined && { html: withPreheader(html, preview).replaceAll('\0', '') }),
    ...(text !== undefined && { text: text.replaceAll('\0', '') }),
  };
}

/** Without prototypes: the names of properties are anybody's. */
function dataOf(
  values: TemplateValues,
  { contact, properties, links }: Parameters<typeof renderBroadcast>[1],
): TemplateValues {
  const { email, firstName, lastName } = contact;
  const own: Record<string, unknown> = Object.create(null);
  for (const [key, { id, fallback }] of properties) own[key] = contact.values[id] ?? fallback;
  Object.assign(own, { email, first_name: firstName, last_name: lastName });
  return Object.assign(Object.create(null), values, linkValues(links), {
    contact: own,
    EMAIL: email,
    FIRST_NAME: firstName,
    LAST_NAME: lastName,
  });
}

/** A line break in it would begin another field of the header. */
function onOneLine(rendered: string): string {
  const subject = rendered
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .toWellFormed();
  if (checkHeaderText('subject', subject) !== undefined) throw new RenderError('too_long');
  return subject;
}

function costOf(ready: ReadyBroadcast): ReadyBroadcast['cost'] {
  const budget = new RequestBudget();
  const { bytes, steps } = budget;
  const links = { url: SAMPLE_URL, preferencesUrl: SAMPLE_URL };
  try {
    renderBroadcast(ready, { contact: SAMPLE, properties: new Map(), links }, budget);
  } catch (error) {
    if (!(error instanceof RenderError)) throw error;
  }
  return { bytes: bytes - budget.bytes, steps: steps - budget.steps };
}
