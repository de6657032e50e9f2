/** JSON over HTTP, with the server's own words in the error. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH';
  readonly bearer?: string;
  readonly body?: unknown;
}

const REQUEST_TIMEOUT_MS = 30_000;

export async function call(url: string, options: Call = {}): Promise<Answer> {
  const headers: Record<string, string> = {};
  if (options.bearer !== undefined) headers.authorization = `Bearer ${options.bearer}`;
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(url, {
    method: options.method ?? 'GET',
    headers,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const text = await response.text();
  return { status: response.status, body: parse(text) };
}

/** Like `call`, but anything other than success is an error. */
export async function expectSuccess(url: string, options: Call = {}): Promise<unknown> {
  const { status, body } = await call(url, options);
  if (status >= 200 && status < 300) return body;
  throw new Error(describeRefusal(url, options.method ?? 'GET', { status, body }));
}

export function describeRefusal(url: string, method: string, answer: Answer): string {
  const reason = textAt(answer.body, 'message') ?? 'no message';
  return `${method} ${new URL(url).pathname} was refused (${answer.status}): ${reason}`;
}

/** The value at a path of property names, where everything on the way is an object. */
export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  let at: unknown = value;
  for (const name of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = valueAt(value, ...path);
  return typeof found === 'string' ? found : undefined;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = valueAt(value, ...path);
  return Array.isArray(found) ? found : [];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
