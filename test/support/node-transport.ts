import * as net from 'node:net';
import * as tls from 'node:tls';
import type { RelayAddress, Transport } from '../../src/smtp/types.ts';

interface ConnectOptions {
  /** The CA to trust for TLS. */
  readonly ca?: string;
}

/** A transport over node:net and node:tls. It keeps what was written, one entry for each write. */
export class NodeTransport implements Transport {
  readonly writes: Uint8Array[] = [];
  /** When set, writes are recorded and then never complete. */
  stallWrites = false;
  closed = false;
  readonly #host: string;
  readonly #ca: string | undefined;
  #socket: net.Socket;
  #chunks: Uint8Array[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: () => void = () => {};

  constructor(socket: net.Socket, host: string, ca?: string) {
    this.#host = host;
    this.#ca = ca;
    this.#socket = socket;
    this.#listen();
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.writes.push(bytes.slice());
    if (this.stallWrites) return new Promise(() => {});
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) return chunk;
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async startTls(): Promise<void> {
    this.#socket.removeAllListeners();
    // The name is only checked, not sent: an IP address is no valid SNI.
    const servername = net.isIP(this.#host) ? '' : this.#host;
    const secured = tls.connect({ socket: this.#socket, servername, host: this.#host, ...this.#trust() });
    this.#socket = secured;
    this.#ended = false;
    await opened(secured, 'secureConnect');
    this.#listen();
  }

  close(): void {
    this.closed = true;
    this.#socket.destroy();
    this.#ended = true;
    this.#wake();
  }

  #trust(): { ca?: string } {
    return this.#ca === undefined ? {} : { ca: this.#ca };
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    this.#socket.on('error', (error: Error) => {
      this.#error = error;
      this.#wake();
    });
    this.#socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    this.#socket.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
  }
}

/** Connects to a server; rejects where that, or the handshake of implicit TLS, fails. */
export async function connectNode(
  address: RelayAddress,
  options: ConnectOptions = {},
): Promise<NodeTransport> {
  const { host, port } = address;
  if (address.tls === 'implicit') {
    const trust = options.ca === undefined ? {} : { ca: options.ca };
    const socket = tls.connect({ host, port, servername: net.isIP(host) ? '' : host, ...trust });
    await opened(socket, 'secureConnect');
    return new NodeTransport(socket.setNoDelay(true), host, options.ca);
  }
  const socket = net.connect({ host, port, noDelay: true });
  await opened(socket, 'connect');
  return new NodeTransport(socket, host, options.ca);
}

function opened(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('closed'));
    socket.once('error', reject);
    socket.once('close', closed);
    socket.once(event, () => {
      socket.off('error', reject);
      socket.off('close', closed);
      resolve();
    });
  });
}
