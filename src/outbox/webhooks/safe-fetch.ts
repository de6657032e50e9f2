/**
 * The only place that makes an HTTP request. Redirects are never followed: where they lead was not checked.
 * Of an answer the first bytes are read, and the rest is not.
 */
import { type AttemptResult, retryAfterOf } from './retry-plan.ts';

export const RESPONSE_BYTES = 256;

export interface SafeRequest {
  /** As `checkEndpointUrl` gave it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** For everything, from the connection to the last byte that is read. */
  readonly timeoutMs: number;
}

/** Throws nothing: whatever goes wrong is a result. */
export async function post({ url, headers, body, timeoutMs }: SafeRequest): Promise<AttemptResult> {
  const atMs = Date.now();
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
    const response = await firstBytes(answer.body, signal);
    const retryAfterMs = retryAfterOf(answer.headers.get('retry-after'), Date.now());
    return {
      atMs,
      status: answer.status,
      response,
      tookMs: Date.now() - atMs,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  } catch {
    const response = signal.aborted ? 'timeout' : 'connection_failed';
    return { atMs, response, tookMs: Date.now() - atMs };
  }
}

async function firstBytes(body: ReadableStream<Uint8Array> | null, signal: AbortSignal): Promise<string> {
  if (!body) return '';
  const reader = body.getReader();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new Error('timeout'));
  signal.addEventListener('abort', abort);
  const bytes = new Uint8Array(RESPONSE_BYTES);
  let length = 0;
  try {
    while (length < RESPONSE_BYTES) {
      const { done, value } = await Promise.race([reader.read(), aborted]);
      if (done) break;
      const part = value.subarray(0, RESPONSE_BYTES - length);
      bytes.set(part, length);
      length += part.byteLength;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    reader.cancel().catch(() => undefined);
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}
