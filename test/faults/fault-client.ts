/** A client that does not give up: where an answer is lost it asks again, with the same idempotency key. */
import { ADMIN_TOKEN } from '../support/relay-under-test.ts';
import type { LedgerView } from './reconcile.ts';
import type { RelayServer } from './relay-server.ts';

// biome-ignore lint/suspicious/noExplicitAny: whatever came back
type Json = any;

/** A busy machine may be killed more often than it answers. */
const PATIENCE_MS = 300_000;
const PAUSE_MS = 50;

export class FaultClient {
  private readonly server: RelayServer;
  private readonly token: string;

  constructor(server: RelayServer, token: string) {
    this.server = server;
    this.token = token;
  }

  /** The body of a 2xx. Throws on a refusal, and when nothing was to be had for too long. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Json> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const response = await this.once(method, path, body, headers);
      if (response && response.status < 300) return response.body;
      const isFinal = response && response.status < 500 && response.status !== 429 && response.status !== 409;
      if (isFinal || Date.now() > deadline) {
        throw new Error(`${method} ${path}: ${response?.status} ${JSON.stringify(response?.body)}`);
      }
      await pause(PAUSE_MS);
    }
  }

  private async once(method: string, path: string, body: unknown, headers: Record<string, string>) {
    try {
      const response = await fetch(new URL(path, this.server.url), {
        method,
        headers: {
          authorization: `Bearer ${this.token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Json };
    } catch {
      return undefined;
    }
  }
}

/** An account of its own, with one relay. */
export async function openFaultAccount(
  server: RelayServer,
  relay: Record<string, unknown>,
): Promise<FaultClient> {
  const operator = new FaultClient(server, ADMIN_TOKEN);
  const { id, api_key } = await operator.call('POST', '/v1/admin/accounts', { name: 'Faults' });
  await operator.call('PUT', `/v1/admin/accounts/${id}/domains/example.com`, {});
  const client = new FaultClient(server, api_key.token);
  await client.call('POST', '/v1/relays', relay);
  return client;
}

/** Asks until the answer is as wanted, and keeps the last one. */
export async function look(
  client: FaultClient,
  id: string | undefined,
  views: Map<string, LedgerView>,
  until: { isWanted: (view: LedgerView) => boolean; patienceMs: number },
): Promise<void> {
  if (id === undefined) return;
  const deadline = Date.now() + until.patienceMs;
  for (;;) {
    const view = (await client.call('GET', `/v1/emails/${id}`)) as LedgerView;
    views.set(id, view);
    if (until.isWanted(view) || Date.now() > deadline) return;
    await pause(50);
  }
}

export async function untilNoSession(client: FaultClient): Promise<void> {
  const { data } = await client.call('GET', '/v1/relays');
  for (let tries = 0; tries < 200; tries++) {
    const { open_sessions } = await client.call('GET', `/v1/relays/${data[0].id}/health`);
    if (open_sessions === 0) return;
    await pause(50);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs so many at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const work = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: width }, work));
}
