/**
 * A load client that costs little: raw keep-alive sockets, one request at a time on each, answers read only
 * as far as needed to find their end.
 */
import { connect, type Socket } from 'node:net';

export interface Load {
  readonly url: URL;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
}

const END_OF_HEAD = '\r\n\r\n';
const END_OF_CHUNKS = Buffer.from('0\r\n\r\n');

export class LoadClient {
  readonly #request: Buffer;
  readonly #load: Load;

  constructor(load: Load) {
    const head = [
      `POST ${load.path} HTTP/1.1`,
      `host: ${load.url.host}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(load.body)}`,
      ...Object.entries(load.headers).map(([name, value]) => `${name}: ${value}`),
    ];
    this.#request = Buffer.from(head.join('\r\n') + END_OF_HEAD + load.body);
    this.#load = load;
  }

  /** Requests per second over about that time. Rejects at the first answer that is not 200. */
  async perSecond(durationMs: number): Promise<number> {
    const startedMs = performance.now();
    const answers = await this.#run(() => performance.now() - startedMs < durationMs);
    return (answers * 1000) / (performance.now() - startedMs);
  }

  /** So many requests. Rejects at the first answer that is not 200. */
  async send(requests: number): Promise<void> {
    let left = requests;
    await this.#run(() => left-- > 0);
  }

  async #run(goesOn: () => boolean): Promise<number> {
    // New ones for each run: the server closes connections that idle between two.
    const sockets = Array.from({ length: this.#load.connections }, () =>
      connect({ host: this.#load.url.hostname, port: Number(this.#load.url.port), noDelay: true }),
    );
    let answers = 0;
    try {
      await Promise.all(
        sockets.map(async (socket) => {
          while (goesOn()) {
            await this.#exchange(socket);
            answers++;
          }
        }),
      );
      return answers;
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  }

  #exchange(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      let missing: number | undefined;
      let isChunked = false;
      let head: Buffer | undefined;
      const settle = (error?: Error) => {
        socket.off('data', onData).off('error', onEnd).off('close', onEnd);
        if (error) reject(error);
        else resolve();
      };
      const onEnd = () => settle(new Error('the connection ended'));
      if (socket.destroyed) return reject(new Error('the connection is closed'));
      const onData = (piece: Buffer) => {
        let rest = piece;
        if (missing === undefined && !isChunked) {
          const start: Buffer = head ? Buffer.concat([head, piece]) : piece;
          head = start;
          const end = start.indexOf(END_OF_HEAD);
          if (end < 0) return;
          const text = start.toString('latin1', 0, end);
          rest = start.subarray(end + END_OF_HEAD.length);
          if (!text.startsWith('HTTP/1.1 200')) return settle(new Error(`${text}\n${rest.toString()}`));
          const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
          if (length === undefined) isChunked = true;
          else missing = Number(length);
        }
        if (isChunked) {
          if (rest.subarray(-END_OF_CHUNKS.length).equals(END_OF_CHUNKS)) settle();
          return;
        }
        missing = (missing ?? 0) - rest.length;
        if (missing <= 0) settle();
      };
      socket.on('data', onData).on('error', onEnd).on('close', onEnd);
      socket.write(this.#request);
    });
  }
}
