/** Accounts, keys and requests for tests, through the API itself. */
import { createExecutionContext } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { inject } from 'vitest';
import { app } from '../../src/app.ts';

const ORIGIN = 'https://relay.test';

export interface TestAccount {
  readonly id: string;
  readonly key: string;
  readonly keyId: string;
}

export interface TestRequest {
  readonly method?: string;
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** For this request, in place of those that the tests have. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** A request in JSON, answered by the Worker under test. */
export function call(path: string, request: TestRequest = {}): Promise<Response> {
  const headers = new Headers(request.headers);
  if (request.key !== undefined) headers.set('authorization', `Bearer ${request.key}`);
  const hasBody = request.body !== undefined;
  if (hasBody && !headers.has('content-type')) headers.set('content-type', 'application/json');
  return send(
    new Request(ORIGIN + path, {
      method: request.method ?? (hasBody ? 'POST' : 'GET'),
      headers,
      ...(hasBody && {
        body: typeof request.body === 'string' ? request.body : JSON.stringify(request.body),
      }),
      redirect: 'manual',
    }),
    request.settings,
  );
}

/** Answered by the Worker under test. Throws where the answer is not as the API's description says. */
export async function send(request: Request, settings?: Readonly<Record<string, string>>): Promise<Response> {
  const { method, url } = request;
  const response = settings
    ? await app.fetch(request, { ...env, ...settings }, createExecutionContext())
    : await exports.default.fetch(request);
  const isOther = response.body !== null && !/\bjson\b/.test(response.headers.get('content-type') ?? '');
  if (isOther) return response;
  const body = await response.clone().text();
  const seen = { method, path: new URL(url).pathname, status: response.status, body };
  const verdict = await fetch(`http://127.0.0.1:${inject('validatorPort')}`, {
    method: 'POST',
    body: JSON.stringify(seen),
  });
  const fault = await verdict.text();
  if (fault !== '') throw new Error(fault);
  return response;
}

export function callAsOperator(path: string, request: TestRequest = {}): Promise<Response> {
  return call(path, { ...request, key: env.ADMIN_TOKEN });
}

/** Calls in the name of an account that is there by the time of the call. */
export function callsOf(account: () => TestAccount) {
  const ask = async (path: string, body?: unknown, method?: string) => {
    const response = await call(path, { key: account().key, body, ...(method && { method }) });
    return { status: response.status, body: await jsonOf(response) };
  };
  /** The id of what was created. */
  const made = async (path: string, body: unknown): Promise<string> => {
    const answer = await ask(path, body);
    if (answer.status !== 201)
      throw new Error(`${path} answered ${answer.status} ${JSON.stringify(answer.body)}`);
    return textAt(answer.body, 'id');
  };
  return { ask, made };
}

/** Gives an account what it needs to send: a verified domain, and a relay on this port. */
export async function letSend(account: TestAccount, domain: string, port: number): Promise<void> {
  await callAsOperator(`/v1/admin/accounts/${account.id}/domains/${domain}`, { method: 'PUT', body: {} });
  const relay = { host: '127.0.0.1', port, tls: 'none' };
  const response = await call('/v1/relays', { key: account.key, body: relay });
  if (response.status !== 201) throw new Error(`creating a relay answered ${response.status}`);
}

export type JsonObject = { readonly [key: string]: unknown };

export async function jsonOf(response: Response): Promise<JsonObject> {
  return (await response.json()) as JsonObject;
}

/** The value at a path of keys, as text. */
export function textAt(object: unknown, ...path: (string | number)[]): string {
  let value = object;
  for (const key of path) value = Reflect.get(Object(value), key);
  return String(value);
}

export async function createAccount(name = 'Test account'): Promise<TestAccount> {
  const response = await callAsOperator('/v1/admin/accounts', { body: { name } });
  if (response.status !== 201) throw new Error(`creating an account answered ${response.status}`);
  const body = await jsonOf(response);
  return {
    id: textAt(body, 'id'),
    key: textAt(body, 'api_key', 'token'),
    keyId: textAt(body, 'api_key', 'id'),
  };
}
