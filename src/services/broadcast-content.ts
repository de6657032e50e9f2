/** What a broadcast says: how it is checked when it is saved, and how it lies in D1. */
import type { SealingKey } from '../crypto/seal.ts';
import { sealJson, unsealJson } from '../crypto/sealed-json.ts';
import { AppError } from '../errors.ts';
import { parseMailbox } from '../mime/address.ts';
import { checkHeaderText } from '../mime/characters.ts';
import { parseEmailTemplate } from '../render/email-template.ts';
import { parseTemplate } from '../render/parse-template.ts';
import { LINK_VARIABLES, RESERVED_VARIABLES } from '../render/template-variables.ts';
import { readMailboxes } from './recipients.ts';
import { MAX_CONTENT_BYTES } from './template-content.ts';
import type { TemplateValues } from './templated-email.ts';

/** The parts of an email, as templates of what is known of a contact. */
export interface BroadcastText {
  readonly from: string | null;
  readonly subject: string | null;
  readonly replyTo: readonly string[] | null;
  readonly html: string | null;
  /** `null`: made from the HTML. Empty: there is to be none. */
  readonly text: string | null;
}

export interface BroadcastContent extends BroadcastText {
  readonly previewText: string | null;
  /** In place of `html` and `text`. What it has besides is used where the broadcast has none of its own. */
  readonly template: { readonly id: string; readonly variables: TemplateValues } | null;
  /** What was published of the template when the broadcast was handed over, and the values with their fallbacks. */
  readonly fixed?: BroadcastText & { readonly values: TemplateValues };
}

/** In the shape of the wire. Absent fields of a change stay as they are, and `null` takes one away. */
export interface BroadcastInput {
  readonly from?: string | null | undefined;
  readonly subject?: string | null | undefined;
  readonly reply_to?: string | readonly string[] | null | undefined;
  readonly preview_text?: string | null | undefined;
  readonly html?: string | null | undefined;
  readonly text?: string | null | undefined;
  readonly template?:
    | { readonly id: string; readonly variables?: TemplateValues | undefined }
    | null
    | undefined;
}

/** Of the recipient and of the message: nobody else gives them. */
export const OWN_VARIABLES: ReadonlySet<string> = new Set([...RESERVED_VARIABLES, ...LINK_VARIABLES]);
const MAX_VALUES_BYTES = 64 * 1024;
const MAX_PREVIEW_LENGTH = 2000;
/** A row of D1 holds 2 MB. */
const MAX_SEALED_BYTES = 1_800_000;

/** What the input makes of the old content, checked but for what its template says. Every refusal names the field. */
export function broadcastContentOf(input: BroadcastInput, old?: BroadcastContent): BroadcastContent {
  const pick = <T>(given: T | null | undefined, known: T | null | undefined) =>
    given === undefined ? (known ?? null) : given;
  const replyTo = typeof input.reply_to === 'string' ? [input.reply_to] : input.reply_to;
  const given = input.template && { id: input.template.id, variables: input.template.variables ?? {} };
  // The one takes the place of the other.
  const isWritten = input.html != null || input.text != null;
  const template = isWritten && given === undefined ? null : pick(given, old?.template);
  const content: BroadcastContent = {
    from: pick(input.from, old?.from),
    subject: pick(input.subject, old?.subject),
    replyTo: pick(replyTo, old?.replyTo),
    previewText: pick(input.preview_text, old?.previewText),
    html: pick(input.html, given ? null : old?.html),
    text: pick(input.text, given ? null : old?.text),
    template,
  };
  check(content);
  return content;
}

function check(content: BroadcastContent): void {
  const { from, subject, replyTo, html, text, template, previewText } = content;
  if (from !== null) {
    const parsed = parseMailbox(from);
    if (!parsed.ok) throw new AppError('invalid_from', { reason: parsed.reason });
  }
  readMailboxes(replyTo ?? undefined, 'reply_to');
  if (template) checkTemplate(content);
  else {
    if (from === null) throw new AppError('missing_field', { field: 'from' });
    if (subject === null) throw new AppError('missing_field', { field: 'subject' });
    if (html === null && text === null) throw new AppError('missing_field', { field: 'html` or `text' });
  }
  for (const [field, value] of Object.entries({ html, text, preview_text: previewText })) {
    if (value?.includes('\0')) throw refusal(field, 'must not contain NUL');
  }
  const subjectFault = checkHeaderText('subject', subject ?? '');
  if (subjectFault !== undefined) throw refusal('subject', subjectFault);
  if ((previewText?.length ?? 0) > MAX_PREVIEW_LENGTH) {
    throw refusal('preview_text', `longer than ${MAX_PREVIEW_LENGTH} characters`);
  }
  const size = [html, text, subject].reduce((sum, part) => sum + Buffer.byteLength(part ?? ''), 0);
  if (size > MAX_CONTENT_BYTES) {
    const reason = `\`html\`, \`text\` and \`subject\` are longer than ${MAX_CONTENT_BYTES / 1024} KiB together`;
    throw refusal('html', reason);
  }
  const parsed = parseEmailTemplate(partsOfText(content));
  if (!parsed.ok) throw refusal(parsed.field, parsed.reason);
  const preview = parseTemplate(previewText ?? '');
  if (!preview.ok) throw refusal('preview_text', preview.reason);
}

function checkTemplate({ html, text, template }: BroadcastContent): void {
  for (const [field, value] of Object.entries({ html, text })) {
    if (value !== null) {
      const reason = 'cannot be used together with `template`';
      throw new AppError('field_refused', { field, reason });
    }
  }
  const values = template?.variables ?? {};
  const taken = Object.keys(values).find((key) => OWN_VARIABLES.has(key));
  if (taken !== undefined) throw refusal(`template.variables.${taken}`, 'is a reserved name');
  if (Buffer.byteLength(JSON.stringify(values)) > MAX_VALUES_BYTES) {
    throw refusal('template.variables', `longer than ${MAX_VALUES_BYTES / 1024} KiB together`);
  }
}

export function partsOfText({ subject, html, text }: Pick<BroadcastText, 'subject' | 'html' | 'text'>) {
  return { subject: subject ?? undefined, html: html ?? undefined, text: text ?? undefined };
}

function refusal(field: string, reason: string): AppError {
  return new AppError('invalid_field', { field, reason });
}

export function sealBroadcastName(
  keys: readonly SealingKey[],
  accountId: string,
  id: string,
  name: string,
): Uint8Array {
  return sealJson(keys, placeOf('sealed_name', accountId, id), name);
}

export function openBroadcastName(
  keys: readonly SealingKey[],
  accountId: string,
  { id, sealedName }: { readonly id: string; readonly sealedName: Uint8Array },
): string {
  return unsealJson(keys, placeOf('sealed_name', accountId, id), sealedName);
}

export function sealBroadcast(
  keys: readonly SealingKey[],
  accountId: string,
  id: string,
  content: BroadcastContent,
): Uint8Array {
  const sealed = sealJson(keys, placeOf('sealed_content', accountId, id), content);
  // Control characters take six times their length in JSON.
  if (sealed.byteLength > MAX_SEALED_BYTES) throw refusal('html', 'has too many control characters');
  return sealed;
}

export function openBroadcast(
  keys: readonly SealingKey[],
  accountId: string,
  { id, sealedContent }: { readonly id: string; readonly sealedContent: Uint8Array },
): BroadcastContent {
  return unsealJson(keys, placeOf('sealed_content', accountId, id), sealedContent);
}

function placeOf(column: 'sealed_name' | 'sealed_content', accountId: string, rowId: string) {
  return { accountId, table: 'broadcasts', column, rowId };
}
