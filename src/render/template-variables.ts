/** The variables that a template declares, and whether what a request gives fits them. */
import { isRecord } from './render-template.ts';

export const VARIABLE_TYPES = ['string', 'number', 'boolean', 'object', 'list'] as const;
export type VariableType = (typeof VARIABLE_TYPES)[number];

export interface TemplateVariable {
  readonly key: string;
  readonly type: VariableType;
  /** Takes the place of a value that is not given. */
  readonly fallback?: unknown;
}

/** What a contact brings to a broadcast; and `this`, which is the item of a loop. */
export const RESERVED_VARIABLES: readonly string[] = [
  'FIRST_NAME',
  'LAST_NAME',
  'EMAIL',
  'UNSUBSCRIBE_URL',
  'RESEND_UNSUBSCRIBE_URL',
  'contact',
  'this',
];

/** What a message brings that its reader can end. */
export const LINK_VARIABLES = [
  'unsubscribe_url',
  'preferences_url',
  'UNSUBSCRIBE_URL',
  'RESEND_UNSUBSCRIBE_URL',
] as const;

export type VariableValues =
  | { readonly ok: true; readonly values: Readonly<Record<string, unknown>> }
  /** Without a reason it is missing. */
  | { readonly ok: false; readonly key: string; readonly reason?: string };

/** Of the given values and the fallbacks; `null` is as good as nothing. */
export function variableValues(
  declared: readonly TemplateVariable[],
  given: Readonly<Record<string, unknown>>,
): VariableValues {
  const values: Record<string, unknown> = Object.assign(Object.create(null), given);
  for (const { key, type, fallback } of declared) {
    const value = values[key] ?? fallback;
    if (value === undefined || value === null) return { ok: false, key };
    if (!fits(type, value)) return { ok: false, key, reason: `must be a ${type}` };
    values[key] = value;
  }
  return { ok: true, values };
}

export function fits(type: VariableType, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isRecord(value);
    case 'list':
      return Array.isArray(value);
    case 'number':
      return Number.isFinite(value);
    default:
      return typeof value === type;
  }
}
