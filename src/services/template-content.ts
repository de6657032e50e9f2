/** What a template consists of: how it is checked when it is saved, and how it lies in D1. */
import { keyedHash, oldestKey, type SealingKey } from '../crypto/seal.ts';
import { sealJson, unsealJson } from '../crypto/sealed-json.ts';
import { AppError } from '../errors.ts';
import { isId } from '../ids.ts';
import { parseMailbox } from '../mime/address.ts';
import { parseEmailTemplate } from '../render/email-template.ts';
import {
  fits,
  RESERVED_VARIABLES,
  type TemplateVariable,
  type VariableType,
} from '../render/template-variables.ts';
import { readMailboxes } from './recipients.ts';

/** May change without a new version being published. */
export interface TemplateLabel {
  readonly name: string;
  readonly alias: string | null;
}

export interface StoredVariable extends TemplateVariable {
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface TemplateContent {
  readonly from: string | null;
  readonly subject: string | null;
  readonly replyTo: readonly string[] | null;
  readonly html: string;
  /** `null`: made from the HTML. Empty: there is to be none. */
  readonly text: string | null;
  readonly variables: readonly StoredVariable[];
}

/** In the shape of the wire. Absent fields of a change stay as they are, and `null` takes one away. */
export interface TemplateInput {
  readonly name: string;
  readonly alias?: string | null | undefined;
  readonly from?: string | null | undefined;
  readonly subject?: string | null | undefined;
  readonly reply_to?: string | readonly string[] | null | undefined;
  readonly html: string;
  readonly text?: string | null | undefined;
  readonly variables?: readonly VariableInput[] | null | undefined;
}

interface VariableInput {
  readonly key: string;
  readonly type: VariableType;
  readonly fallback_value?: unknown;
}

/** A row of D1 holds 2 MB at most, and an isolate holds many templates. */
export const MAX_CONTENT_BYTES = 500 * 1024;
const MAX_FALLBACK_BYTES = 64 * 1024;
const ALIAS_PURPOSE = 'template aliases';

export function labelOf(
  input: { readonly [K in keyof TemplateLabel]?: TemplateLabel[K] | undefined },
  old?: TemplateLabel,
): TemplateLabel {
  const alias = input.alias === undefined ? (old?.alias ?? null) : input.alias;
  if (alias !== null && isId('template', alias)) {
    throw new AppError('invalid_field', { field: 'alias', reason: 'looks like the id of a template' });
  }
  return { name: input.name ?? old?.name ?? '', alias };
}

/** What the input makes of the old content, checked. Every refusal names the field, and the place in it. */
export function contentOf(
  input: { readonly [K in keyof TemplateInput]?: TemplateInput[K] | undefined },
  nowMs: number,
  old?: TemplateContent,
): TemplateContent {
  const pick = <T>(given: T | null | undefined, known: T | null | undefined) =>
    given === undefined ? (known ?? null) : given;
  const replyTo = typeof input.reply_to === 'string' ? [input.reply_to] : input.reply_to;
  const content: TemplateContent = {
    from: pick(input.from, old?.from),
    subject: pick(input.subject, old?.subject),
    replyTo: pick(replyTo, old?.replyTo),
    html: input.html ?? old?.html ?? '',
    text: pick(input.text, old?.text),
    variables:
      input.variables === undefined
        ? (old?.variables ?? [])
        : variablesOf(input.variables ?? [], nowMs, old?.variables ?? []),
  };
  check(content);
  return content;
}

function check({ from, subject, replyTo, html, text, variables }: TemplateContent): void {
  if (from !== null) {
    const parsed = parseMailbox(from);
    if (!parsed.ok) throw new AppError('invalid_from', { reason: parsed.reason });
  }
  readMailboxes(replyTo ?? undefined, 'reply_to');
  for (const [field, value] of Object.entries({ html, text })) {
    if (value?.includes('\0')) throw new AppError('invalid_field', { field, reason: 'must not contain NUL' });
  }
  const size = Buffer.byteLength(html) + Buffer.byteLength(text ?? '') + Buffer.byteLength(subject ?? '');
  if (size > MAX_CONTENT_BYTES) {
    const reason = `\`html\`, \`text\` and \`subject\` are longer than ${MAX_CONTENT_BYTES / 1024} KiB together`;
    throw new AppError('invalid_field', { field: 'html', reason });
  }
  if (Buffer.byteLength(JSON.stringify(variables)) > MAX_FALLBACK_BYTES) {
    const reason = `longer than ${MAX_FALLBACK_BYTES / 1024} KiB together`;
    throw new AppError('invalid_field', { field: 'variables', reason });
  }
  const parsed = parseEmailTemplate(partsOf({ subject, html, text }));
  if (!parsed.ok) throw new AppError('invalid_field', { field: parsed.field, reason: parsed.reason });
}

export function partsOf({ subject, html, text }: Pick<TemplateContent, 'subject' | 'html' | 'text'>) {
  return { subject: subject ?? undefined, html, text: text ?? undefined };
}

function variablesOf(
  inputs: readonly VariableInput[],
  nowMs: number,
  old: readonly StoredVariable[],
): StoredVariable[] {
  const keys = new Set<string>();
  return inputs.map(({ key, type, fallback_value: fallback }, index) => {
    const field = `variables[${index}]`;
    if (RESERVED_VARIABLES.includes(key)) {
      throw new AppError('invalid_field', { field: `${field}.key`, reason: 'is a reserved name' });
    }
    if (keys.has(key))
      throw new AppError('invalid_field', { field: `${field}.key`, reason: 'is given twice' });
    keys.add(key);
    const hasFallback = fallback !== undefined && fallback !== null;
    if (hasFallback && !fits(type, fallback)) {
      throw new AppError('invalid_field', { field: `${field}.fallback_value`, reason: `must be a ${type}` });
    }
    const known = old.find((variable) => variable.key === key);
    const variable = { key, type, ...(hasFallback && { fallback }) };
    const isSame =
      known?.type === type && JSON.stringify(known.fallback ?? null) === JSON.stringify(fallback ?? null);
    return { ...variable, createdAt: known?.createdAt ?? nowMs, updatedAt: isSame ? known.updatedAt : nowMs };
  });
}

/** Base64 of a keyed hash, made with the account's oldest key: it stays when a newer one starts to seal. */
export function aliasHash(keys: readonly SealingKey[], alias: string): string {
  return Buffer.from(keyedHash(oldestKey(keys), ALIAS_PURPOSE, alias)).toString('base64');
}

export function sealLabel(
  keys: readonly SealingKey[],
  accountId: string,
  id: string,
  label: TemplateLabel,
): Uint8Array {
  return sealJson(keys, labelPlace(accountId, id), label);
}

export function openLabel(
  keys: readonly SealingKey[],
  accountId: string,
  id: string,
  sealed: Uint8Array,
): TemplateLabel {
  return unsealJson(keys, labelPlace(accountId, id), sealed);
}

export function sealContent(
  keys: readonly SealingKey[],
  accountId: string,
  versionId: string,
  content: TemplateContent,
): Uint8Array {
  return sealJson(keys, contentPlace(accountId, versionId), content);
}

export function openContent(
  keys: readonly SealingKey[],
  accountId: string,
  versionId: string,
  sealed: Uint8Array,
): TemplateContent {
  return unsealJson(keys, contentPlace(accountId, versionId), sealed);
}

function labelPlace(accountId: string, rowId: string) {
  return { accountId, table: 'templates', column: 'sealed_label', rowId };
}

function contentPlace(accountId: string, rowId: string) {
  return { accountId, table: 'template_versions', column: 'sealed_content', rowId };
}
