/** The scripted SMTP server in a thread of its own, so that no client under measurement shares its thread. */
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

export interface BenchServerOptions {
  readonly pipelining: boolean;
  /** Half of a round trip. The handshake of TCP is delayed too, in the banner. */
  readonly oneWayDelayMs: number;
}

export type ServerQuestion =
  | { readonly ask: 'messages'; readonly count: number }
  | { readonly ask: 'roundTrips' }
  | { readonly ask: 'pace' }
  | { readonly ask: 'stop' };

export interface BenchServer {
  readonly port: number;
  /** Resolves once that many messages were stored in all. */
  waitForMessages(count: number): Promise<void>;
  /** Milliseconds from one message to the next, on average over those since the last call. */
  pace(): Promise<number>;
  /** Of all connections so far, once the last of them is closed. */
  roundTrips(): Promise<number>;
  stop(): Promise<void>;
}

export async function startBenchServer(options: BenchServerOptions): Promise<BenchServer> {
  const thread = new Worker(join(import.meta.dirname, 'smtp-server-thread.ts'), { workerData: options });
  const answer = async () => ((await once(thread, 'message')) as [number])[0];
  const port = await answer();
  const ask = (question: ServerQuestion) => {
    thread.postMessage(question);
    return answer();
  };
  return {
    port,
    async waitForMessages(count) {
      await ask({ ask: 'messages', count });
    },
    pace: () => ask({ ask: 'pace' }),
    roundTrips: () => ask({ ask: 'roundTrips' }),
    async stop() {
      await ask({ ask: 'stop' });
      await thread.terminate();
    },
  };
}
