/**
 * Log lines: JSON, and an allow-list. What is not a field here is not logged, so addresses, subjects, reply
 * texts and URLs cannot be.
 */
export interface LogFields {
  readonly request_id?: string | undefined;
  readonly method?: string | undefined;
  /** The pattern of the route, never the URL. */
  readonly route?: string | undefined;
  readonly status?: number | undefined;
  readonly account_id?: string | undefined;
  readonly message_id?: string | undefined;
  readonly relay_id?: string | undefined;
  readonly broadcast_id?: string | undefined;
  readonly code?: string | undefined;
  readonly ms?: number | undefined;
  /** The class of an unexpected error, and where it arose. */
  readonly error?: string | undefined;
  readonly stack?: string | undefined;
}

export function logEvent(event: string, fields: LogFields = {}): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/** For what nobody expected. The message of an error may quote input, so only its class and its frames are logged. */
export function logError(event: string, error: unknown, fields: LogFields = {}): void {
  const known = error instanceof Error;
  logEvent(event, {
    ...fields,
    error: known ? error.name : typeof error,
    stack: known ? framesOf(error) : undefined,
  });
}

function framesOf(error: Error): string {
  const lines = (error.stack ?? '').split('\n');
  return lines
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8)
    .map((line) => line.trim())
    .join(' | ');
}
