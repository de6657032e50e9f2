/** A customer's endpoint: a real HTTP server on the loopback that keeps what it was sent. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface ReceivedEvent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
  readonly event: any;
  readonly atMs: number;
}

/** Answers request number `n`, from 0. Without one, everything is answered with 200. */
export type Answer = (n: number, received: ReceivedEvent) => number | Reply | Promise<number | Reply>;

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface WebhookReceiver {
  readonly url: string;
  readonly port: number;
  readonly received: ReceivedEvent[];
  answer: Answer;
  /** Resolves once so many requests came that fit. */
  waitFor(count: number, fits?: (received: ReceivedEvent) => boolean): Promise<ReceivedEvent[]>;
  stop(): Promise<void>;
}

/** Stopped when the test is over, unless `keep` is set. */
export async function startReceiver(
  answer: Answer = () => 200,
  options: { readonly port?: number; readonly keep?: boolean } = {},
): Promise<WebhookReceiver> {
  const received: ReceivedEvent[] = [];
  const waiters = new Set<() => void>();
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    const headers = request.headers as Record<string, string>;
    const one = { headers, body, event: JSON.parse(body), atMs: Date.now() };
    const n = received.push(one) - 1;
    for (const wake of waiters) wake();
    send(response, await receiver.answer(n, one));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${port}/hooks`,
    port,
    received,
    answer,
    async waitFor(count, fits = () => true) {
      for (;;) {
        const found = received.filter(fits);
        if (found.length >= count) return found;
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        const timer = setTimeout(
          () => reject(new Error(`${found.length} of ${count} webhook requests came`)),
          30_000,
        );
        waiters.add(resolve);
        await promise.finally(() => clearTimeout(timer));
        waiters.delete(resolve);
      }
    },
    async stop() {
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
  if (!options.keep) onTestFinished(() => receiver.stop());
  return receiver;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, answer: number | Reply): void {
  const { status, headers = {}, body = '' } = typeof answer === 'number' ? { status: answer } : answer;
  response.writeHead(status, headers).end(body);
}
