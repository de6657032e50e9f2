/**
 * The closed list of error codes. What a caller sees is the fixed text here, with at most the name of a
 * field put in; the reason goes to the log. HTTP statuses live in `http/error-response.ts`.
 */
export const ERROR_MESSAGES = {
  missing_api_key: 'Missing API key in the Authorization header (`Authorization: Bearer …`).',
  invalid_api_key: 'API key is invalid.',
  expired_api_key: 'This API key has expired.',
  address_not_allowed: 'This API key may not be used from this address.',
  too_many_failures:
    'Too many requests with invalid API keys. Try again after the time in the retry-after header.',
  restricted_api_key: 'This API key is restricted to only send emails.',
  test_key_refused: 'A test key changes nothing but test mail.',
  account_suspended: 'This account is suspended.',
  account_unconfirmed:
    'The address of this account is not confirmed yet. Follow the link in the mail, or ask for another one.',
  account_closed: 'This account is closed.',
  invalid_admin_token: 'The operator token is invalid.',
  not_found: '{what} not found',
  content_gone: 'The content of this email is no longer kept.',
  link_expired: 'This link has expired. Ask for a new one.',
  route_not_found: 'The requested endpoint does not exist.',
  method_not_allowed: 'Method is not allowed for the requested path.',
  invalid_json: 'The request body is not valid JSON: {reason}.',
  unsupported_content_encoding: 'Compressed request bodies are not accepted.',
  unsupported_content_type: 'The request body must be sent as `{type}`.',
  body_too_large: 'The request body is larger than {limit}.',
  missing_field: 'Missing `{field}` field.',
  invalid_field: 'Invalid `{field}` field: {reason}.',
  unknown_field: 'Unknown field `{field}`.',
  field_not_supported: 'The `{field}` field is not supported yet.',
  field_refused: 'The `{field}` field is refused: {reason}.',
  invalid_from: 'Invalid `from` field: {reason}.',
  invalid_attachment: 'Invalid `{field}` field: {reason}.',
  invalid_message: 'The message is refused: {reason}.',
  domain_not_verified: 'The domain of the `from` address is not verified for this account.',
  no_relay: 'This account has no relay, and the deployment has no default one.',
  invalid_idempotency_key: 'The Idempotency-Key header must be 1 to 256 printable ASCII characters.',
  idempotency_mismatch: 'This Idempotency-Key was already used with a different request body.',
  idempotency_in_progress: 'A request with this Idempotency-Key is still in progress.',
  rate_limited: 'Too many messages for this API key. Try again after the time in the retry-after header.',
  daily_quota_exceeded: 'The daily quota of this account is used up. It starts anew at 00:00 UTC.',
  monthly_quota_exceeded: 'The monthly quota of this account is used up. It starts anew with the UTC month.',
  registration_closed: 'This deployment does not take registrations.',
  invalid_invite: 'The `invite` code is missing, used up, expired or wrong.',
  registrations_limited:
    'Too many requests from this address. Try again after the time in the retry-after header.',
  host_not_looked_up:
    'The host name in the `{field}` field could not be looked up. Nothing was saved. Try again shortly.',
  backlog_full: 'This account has too many messages waiting. Try again once some were delivered.',
  overloaded: 'The server has as many bytes in hand as it can hold. Try again shortly.',
  conflict: '{reason}',
  not_scheduled: 'This email is not scheduled any more, so its time cannot be changed.',
  already_sent: 'Nothing of this email is left to cancel: {deliveries}.',
  send_in_progress: 'This email is being handed to a relay at this moment. Ask again for what became of it.',
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
