/** Which errors an operation can answer with, and how they look. */
import * as z from 'zod';
import { ERROR_MESSAGES, type ErrorCode } from '../../errors.ts';
import { ERROR_WIRE } from '../error-response.ts';
import { exampleId, idOf, type OperationDocs } from './resource-docs.ts';

const CODES = Object.keys(ERROR_MESSAGES) as [ErrorCode, ...ErrorCode[]];

export const errorSchema = z
  .object({
    statusCode: z.int().min(400).max(599).meta({ description: 'The HTTP status once more.' }),
    name: z
      .enum([...new Set(CODES.map((code) => ERROR_WIRE[code][1]))])
      .meta({ description: 'The kind of error, as the `resend` SDK knows it.' }),
    message: z.string().meta({ description: 'A fixed text for people, which names the field.' }),
    code: z.enum(CODES).meta({ description: 'The exact error, for programs. The list is closed.' }),
    request_id: idOf('request').meta({ description: 'Also in `x-request-id`.' }),
  })
  .meta({ id: 'Error', description: 'Every refusal and every failure has this body.' });

const ALWAYS: readonly ErrorCode[] = ['internal_error', 'unavailable'];
const OF_KEY: readonly ErrorCode[] = [
  'missing_api_key',
  'invalid_api_key',
  'expired_api_key',
  'address_not_allowed',
  'too_many_failures',
  'account_closed',
];
const OF_ACCESS: Readonly<Record<NonNullable<OperationDocs['access']>, readonly ErrorCode[]>> = {
  public: [],
  operator: ['missing_api_key', 'invalid_api_key', 'invalid_admin_token'],
  key: [...OF_KEY, 'restricted_api_key'],
  sending_key: [...OF_KEY, 'account_suspended', 'account_unconfirmed'],
};
const OF_BODY: readonly ErrorCode[] = [
  'unsupported_content_encoding',
  'unsupported_content_type',
  'body_too_large',
  'overloaded',
];
const OF_JSON: readonly ErrorCode[] = ['invalid_json', 'missing_field', 'invalid_field', 'unknown_field'];
const OF_QUERY: readonly ErrorCode[] = ['invalid_field', 'unknown_field'];

export function accessOf(route: string, operation: OperationDocs): NonNullable<OperationDocs['access']> {
  const path = route.split(' ')[1] ?? '';
  const implied = path.startsWith('/v1/admin/') ? 'operator' : path.startsWith('/v1/') ? 'key' : 'public';
  return operation.access ?? implied;
}

/** A test key reads, and sends and changes its own mail: see `changesMoreThanMail` in `authenticate.ts`. */
function isForLiveKeys(route: string, operation: OperationDocs): boolean {
  const [method = '', path = ''] = route.split(' ');
  const access = accessOf(route, operation);
  return access.endsWith('key') && method !== 'GET' && !/^\/v1\/emails(?:\/|$)/.test(path);
}

/** Those that follow from what the operation is, and its own. */
export function errorCodesOf(route: string, operation: OperationDocs): ErrorCode[] {
  const { body } = operation;
  const codes = new Set<ErrorCode>([
    ...ALWAYS,
    ...OF_ACCESS[accessOf(route, operation)],
    ...(isForLiveKeys(route, operation) ? (['test_key_refused'] as const) : []),
    ...(body ? OF_BODY : []),
    ...(body && body.contentType === undefined ? OF_JSON : []),
    ...(operation.query ? OF_QUERY : []),
    ...(route.includes('/:') ? (['not_found'] as const) : []),
    ...(operation.errors ?? []),
  ]);
  return CODES.filter((code) => codes.has(code));
}

export const errorStatusOf = (code: ErrorCode): number => ERROR_WIRE[code][0];

/** What fills the placeholders of the fixed texts. */
const DETAILS: Readonly<Record<string, string>> = {
  what: 'Email',
  field: 'name',
  reason: 'does not have the right form',
  limit: '64 KiB',
  type: 'application/json',
};

/** By name, for the components of the document. */
export const ERROR_EXAMPLES = Object.fromEntries(
  CODES.map((code) => {
    const [statusCode, name] = ERROR_WIRE[code];
    const message = ERROR_MESSAGES[code].replace(/\{(\w+)\}/g, (whole, key: string) => DETAILS[key] ?? whole);
    return [code, { value: { statusCode, name, message, code, request_id: exampleId('request') } }];
  }),
);
