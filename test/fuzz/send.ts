/** A request exactly as it is given: `fetch` would tidy up its path. */
import { Agent, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { Answer, Sent } from './world.ts';

const ANSWER_WITHIN_MS = 60_000;

export class Sending {
  readonly #url: URL;
  readonly #agent: Agent;

  constructor(url: URL, width: number) {
    this.#url = url;
    this.#agent = new Agent({ keepAlive: true, maxSockets: width });
  }

  /** A kept connection may have been closed under it: then once more, on a new one. */
  async send(sent: Sent): Promise<Answer> {
    try {
      return await this.#once(sent, this.#agent);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
      return this.#once(sent, false);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #once({ method, path, headers, body, chunked }: Sent, agent: Agent | false): Promise<Answer> {
    // Said in either case: node adds no framing to the body of a GET or a DELETE by itself.
    const framing = chunked
      ? { 'transfer-encoding': 'chunked' }
      : { 'content-length': String(body?.byteLength ?? 0) };
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent,
          host: this.#url.hostname,
          port: this.#url.port,
          method,
          path,
          headers: { ...headers, ...(body !== undefined && framing) },
          timeout: ANSWER_WITHIN_MS,
        },
        (incoming) => {
          const { statusCode: status = 0, headers: answered } = incoming;
          buffer(incoming).then((bytes) => resolve({ status, headers: answered, body: bytes }), reject);
        },
      );
      // After an early answer the rest of a body has nowhere to go: the answer counts.
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${ANSWER_WITHIN_MS} ms`)));
      if (body !== undefined && chunked) {
        for (let at = 0; at < body.byteLength; at += 16_384) outgoing.write(body.subarray(at, at + 16_384));
      }
      outgoing.end(chunked ? undefined : body);
    });
  }
}
