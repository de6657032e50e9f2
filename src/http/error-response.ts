/** How an error looks on the wire: the shape of the `resend` SDK, plus our own `code` and `request_id`. */
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { AppError, type ErrorCode } from '../errors.ts';
import { logError } from '../log.ts';
import { isStoreUnavailable, storeFaultCode } from '../services/faults.ts';
import type { AppTypes } from './app-types.ts';

/** The status and the name that the SDK knows. */
export const ERROR_WIRE: Record<ErrorCode, readonly [status: ContentfulStatusCode, name: string]> = {
  missing_api_key: [401, 'missing_api_key'],
  invalid_api_key: [403, 'invalid_api_key'],
  expired_api_key: [403, 'invalid_api_key'],
  address_not_allowed: [403, 'invalid_access'],
  too_many_failures: [429, 'rate_limit_exceeded'],
  restricted_api_key: [401, 'restricted_api_key'],
  test_key_refused: [403, 'restricted_api_key'],
  account_suspended: [403, 'invalid_access'],
  account_unconfirmed: [403, 'invalid_access'],
  account_closed: [403, 'invalid_access'],
  invalid_admin_token: [403, 'invalid_api_key'],
  not_found: [404, 'not_found'],
  content_gone: [410, 'not_found'],
  link_expired: [410, 'not_found'],
  route_not_found: [404, 'not_found'],
  method_not_allowed: [405, 'method_not_allowed'],
  invalid_json: [400, 'validation_error'],
  unsupported_content_encoding: [415, 'validation_error'],
  unsupported_content_type: [415, 'validation_error'],
  body_too_large: [413, 'validation_error'],
  missing_field: [422, 'missing_required_field'],
  invalid_field: [422, 'invalid_parameter'],
  unknown_field: [422, 'invalid_parameter'],
  field_not_supported: [422, 'invalid_parameter'],
  field_refused: [422, 'invalid_parameter'],
  invalid_from: [422, 'invalid_from_address'],
  invalid_attachment: [422, 'invalid_attachment'],
  invalid_message: [422, 'validation_error'],
  domain_not_verified: [403, 'validation_error'],
  no_relay: [422, 'validation_error'],
  invalid_idempotency_key: [400, 'invalid_idempotency_key'],
  idempotency_mismatch: [409, 'invalid_idempotent_request'],
  idempotency_in_progress: [409, 'concurrent_idempotent_requests'],
  rate_limited: [429, 'rate_limit_exceeded'],
  daily_quota_exceeded: [429, 'daily_quota_exceeded'],
  monthly_quota_exceeded: [429, 'monthly_quota_exceeded'],
  registration_closed: [403, 'invalid_access'],
  invalid_invite: [403, 'invalid_access'],
  registrations_limited: [429, 'rate_limit_exceeded'],
  backlog_full: [429, 'rate_limit_exceeded'],
  overloaded: [503, 'application_error'],
  host_not_looked_up: [503, 'application_error'],
  conflict: [409, 'validation_error'],
  not_scheduled: [409, 'validation_error'],
  already_sent: [409, 'validation_error'],
  send_in_progress: [409, 'validation_error'],
  internal_error: [500, 'internal_server_error'],
  unavailable: [503, 'application_error'],
};

/** Where the error does not say itself when to try again. */
const DEFAULT_RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = {
  rate_limited: 1,
  too_many_failures: 60,
  registrations_limited: 60,
  backlog_full: 30,
  overloaded: 1,
  unavailable: 5,
  host_not_looked_up: 5,
};

export function errorResponse(c: Context<AppTypes>, error: unknown): Response {
  const known = toAppError(error);
  if (known.code === 'internal_error' || known.code === 'unavailable') logFault(c, error);
  const [statusCode, name] = ERROR_WIRE[known.code];
  const retryAfter = known.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS[known.code];
  if (retryAfter !== undefined) c.header('retry-after', String(Math.ceil(retryAfter)));
  c.set('errorCode', known.code);
  const body = { statusCode, name, message: known.message, code: known.code, request_id: c.get('requestId') };
  return c.json(body, statusCode);
}

function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError(isStoreUnavailable(error) ? 'unavailable' : 'internal_error');
}

/** For us only, and never the message: drizzle's quotes what was bound to the statement. */
function logFault(c: Context<AppTypes>, error: unknown): void {
  logError('fault', error, { request_id: c.get('requestId'), code: storeFaultCode(error) });
}
