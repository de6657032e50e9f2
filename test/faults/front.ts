/**
 * A TCP server before the scripted one that only sees bytes: for faults before SMTP is spoken (the connection,
 * the TLS handshake), for replies in clear that are torn on the wire, and for RST under TLS.
 */
import * as net from 'node:net';

export interface FrontOptions {
  /** Asked anew for each connection where it may change. */
  readonly targetPort: number | (() => number);
  /** Asked for each new connection, and for each piece of bytes; true takes the connection out of service. */
  readonly onConnect?: (client: net.Socket) => boolean;
  readonly onClientBytes?: (client: net.Socket, bytes: Buffer) => boolean;
  /** May pass a piece from the server on in another way; true where it did. */
  readonly onServerBytes?: (client: net.Socket, bytes: Buffer) => boolean;
}

export interface Front {
  readonly port: number;
  /** Breaks every connection with RST. */
  reset(): void;
  close(): Promise<void>;
}

export async function startFront(options: FrontOptions): Promise<Front> {
  const clients = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (client) => {
    clients.add(client);
    client.on('error', () => {});
    client.on('close', () => clients.delete(client));
    if (options.onConnect?.(client)) return;
    const { targetPort } = options;
    const port = typeof targetPort === 'number' ? targetPort : targetPort();
    const upstream = net.connect({ port, host: '127.0.0.1', noDelay: true });
    upstream.on('error', () => client.destroy());
    let isHeld = false;
    client.on('data', (bytes: Buffer) => {
      if (isHeld) return;
      isHeld = options.onClientBytes?.(client, bytes) ?? false;
      if (!isHeld) upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => {
      if (!isHeld && !options.onServerBytes?.(client, bytes)) client.write(bytes);
    });
    client.on('end', () => upstream.end());
    client.on('close', () => upstream.destroy());
    upstream.on('end', () => !isHeld && client.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    reset() {
      for (const client of clients) client.resetAndDestroy();
    },
    close() {
      for (const client of clients) client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Writes bytes one by one, or all of them late. */
export function drip(write: (piece: Buffer) => void, bytes: Buffer, manner: 'torn' | 'slow'): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (manner === 'slow') {
    setTimeout(() => {
      write(bytes);
      resolve();
    }, 250);
    return promise;
  }
  let at = 0;
  const next = () => {
    if (at >= bytes.length) return resolve();
    write(bytes.subarray(at, ++at));
    setTimeout(next, 1);
  };
  next();
  return promise;
}
