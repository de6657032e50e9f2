/** The server's side of `smtp-server.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Hook, startScriptedServer } from '../test/support/scripted-smtp-server.ts';
import type { BenchServerOptions, ServerQuestion } from './smtp-server.ts';

const { pipelining, oneWayDelayMs } = workerData as BenchServerOptions;

/**
 * A banner comes two round trips after the SYN: the server accepts one and a half after it, and the banner
 * is on its way for another half, which the server adds by itself. Loopback has no delay of its own.
 */
const lateBanner: Hook = (connection) => {
  setTimeout(() => connection.say('220 scripted.test ESMTP\r\n'), 3 * oneWayDelayMs);
  return { raw: '' };
};

let storedAtMs: number[] = [];
const noteTime: Hook = () => {
  storedAtMs.push(performance.now());
  return undefined;
};

const server = await startScriptedServer({
  pipelining,
  oneWayDelayMs,
  hooks: { DOT: noteTime, ...(oneWayDelayMs > 0 ? { BANNER: lateBanner } : {}) },
});

async function answerTo(question: ServerQuestion): Promise<number> {
  switch (question.ask) {
    case 'messages':
      return (await server.waitForMessages(question.count)).length;
    case 'pace': {
      const times = storedAtMs;
      storedAtMs = [];
      return ((times.at(-1) ?? 0) - (times[0] ?? 0)) / (times.length - 1);
    }
    case 'roundTrips':
      await Promise.all(server.connections.map((connection) => connection.closed));
      return server.connections.reduce((sum, connection) => sum + connection.roundTrips, 0);
    case 'stop':
      await server.close();
      return 0;
  }
}

parentPort?.on('message', async (question: ServerQuestion) => {
  parentPort?.postMessage(await answerTo(question));
});
parentPort?.postMessage(server.port);
