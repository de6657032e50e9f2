/**
 * The only place that makes an HTTP request. Redirects are never followed: where they lead was not checked.
 * Of an answer the first bytes are read, and the rest is not.
 */
export interface SafeRequest {
  /** Checked before. */
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For everything, from the connection to the last byte that is read. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface SafeAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** `maxBytes` of it at most. */
  readonly body: Uint8Array;
}

/** Throws nothing: whatever goes wrong is a result. */
export async function safeFetch(
  request: SafeRequest,
): Promise<SafeAnswer | { readonly fault: 'timeout' | 'connection_failed' }> {
  const { url, method, headers, body, timeoutMs, maxBytes } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, {
      method,
      headers,
      ...(body !== undefined && { body }),
      redirect: 'manual',
      signal,
    });
    const bytes = await firstBytes(answer.body, maxBytes, signal);
    return { status: answer.status, headers: answer.headers, body: bytes };
  } catch {
    return { fault: signal.aborted ? 'timeout' : 'connection_failed' };
  }
}

async function firstBytes(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(maxBytes);
  if (!body) return bytes.subarray(0, 0);
  const reader = body.getReader();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new Error('timeout'));
  signal.addEventListener('abort', abort);
  let length = 0;
  try {
    while (length < maxBytes) {
      const { done, value } = await Promise.race([reader.read(), aborted]);
      if (done) break;
      const part = value.subarray(0, maxBytes - length);
      bytes.set(part, length);
      length += part.byteLength;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    reader.cancel().catch(() => undefined);
  }
  return bytes.subarray(0, length);
}
