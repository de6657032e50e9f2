/**
 * The closed list of error codes. What a caller sees is the fixed text here, with at most the name of a
 * field put in; the reason goes to the log. HTTP statuses live in `http/error-response.ts`.
 */
export const ERROR_MESSAGES = {
  missing_api_key: 'Missing API key in the Authorization header (`Authorization: Bearer …`).',
  invalid_api_key: 'API key is invalid.',
  restricted_api_key: 'This API key is restricted to only send emails.',
  account_suspended: 'This account is suspended.',
  account_closed: 'This account is closed.',
  invalid_admin_token: 'The operator token is invalid.',
  not_found: '{what} not found',
  content_gone: 'The content of this email is no longer kept.',
  link_expired: 'This link has expired. Ask for a new one.',
  route_not_found: 'The requested endpoint does not exist.',
  method_not_allowed: 'Method is not allowed for the requested path.',
  invalid_json: 'The request body is not valid JSON: {reason}.',
  unsupported_content_encoding: 'Compressed request bodies are not accepted.',
  unsupported_content_type: 'The request body must be sent as `application/json`.',
  body_too_large: 'The request body is larger than {limit}.',
  missing_field: 'Missing `{field}` field.',
  invalid_field: 'Invalid `{field}` field: {reason}.',
  unknown_field: 'Unknown field `{field}`.',
  field_not_supported: 'The `{field}` field is not supported yet.',
  field_refused: 'The `{field}` field is refused: {reason}.',
  invalid_from: 'Invalid `from` field: {reason}.',
  invalid_attachment: 'Invalid `{field}` field: {reason}.',
  domain_not_verified: 'The domain of the `from` address is not verified for this account.',
  no_relay: 'This account has no relay, and the deployment has no default one.',
  invalid_idempotency_key: 'The Idempotency-Key header must be 1 to 256 printable ASCII characters.',
  idempotency_mismatch: 'This Idempotency-Key was already used with a different request body.',
  idempotency_in_progress: 'A request with this Idempotency-Key is still in progress.',
  rate_limited: 'Too many messages for this API key. Try again after the time in the retry-after header.',
  backlog_full: 'This account has too many messages waiting. Try again once some were delivered.',
  overloaded: 'The server has as many bytes in hand as it can hold. Try again shortly.',
  conflict: '{reason}',
  internal_error: 'An unexpected error occurred. The request_id identifies it in the log.',
  unavailable: 'A part of the service is not available. Try again shortly.',
} as const;

export type ErrorCode = keyof typeof ERROR_MESSAGES;

/** An expected failure of a request. `details` fills the placeholders of the fixed text. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    details: Record<string, string> = {},
    options: { retryAfterSeconds?: number } = {},
  ) {
    super(ERROR_MESSAGES[code].replace(/\{(\w+)\}/g, (whole, name: string) => details[name] ?? whole));
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}
