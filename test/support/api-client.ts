/** What tests say to a running relay over HTTP. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever came back
  readonly body: any;
}

export class ApiClient {
  readonly url: URL;
  readonly token: string;

  constructor(url: URL | string, token: string) {
    this.url = new URL(url);
    this.token = token;
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<ApiAnswer> {
    const response = await fetch(new URL(path, this.url), {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  }

  get(path: string): Promise<ApiAnswer> {
    return this.call('GET', path);
  }

  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<ApiAnswer> {
    return this.call('POST', path, body, headers);
  }

  /** Asks until the answer is as wanted; for states that no event announces over HTTP. */
  async until(
    path: string,
    isWanted: (body: ApiAnswer['body']) => boolean,
    timeoutMs = 20_000,
  ): Promise<ApiAnswer['body']> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const { body } = await this.get(path);
      if (isWanted(body)) return body;
      if (Date.now() > deadline) throw new Error(`not reached in time: ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

export interface TestAccount {
  readonly id: string;
  readonly client: ApiClient;
}

/** An account with a verified domain and, where a port is given, a relay on it. */
export async function openAccount(
  url: URL | string,
  adminToken: string,
  options: { domain?: string; returnPath?: string; relay?: Record<string, unknown> } = {},
): Promise<TestAccount> {
  const operator = new ApiClient(url, adminToken);
  const created = await operator.post('/v1/admin/accounts', { name: 'Test' });
  if (created.status !== 201) throw new Error(`no account: ${JSON.stringify(created.body)}`);
  const { id, api_key } = created.body;
  const domain = options.domain ?? 'example.com';
  const verified = await operator.call(
    'PUT',
    `/v1/admin/accounts/${id}/domains/${domain}`,
    options.returnPath === undefined ? {} : { return_path: options.returnPath },
  );
  if (verified.status >= 300) throw new Error(`no domain: ${JSON.stringify(verified.body)}`);
  const client = new ApiClient(url, api_key.token);
  if (options.relay) {
    const relay = await client.post('/v1/relays', { host: '127.0.0.1', tls: 'none', ...options.relay });
    if (relay.status !== 201) throw new Error(`no relay: ${JSON.stringify(relay.body)}`);
  }
  return { id, client };
}
