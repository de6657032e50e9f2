/**
 * An SMTP server that does as it is told. By default it accepts everything; a hook can put any answer, or a
 * fault, in the place of any reply. It keeps what came in, and a message only once its final dot was read.
 */
import * as net from 'node:net';
import * as tls from 'node:tls';
import { ServerConnection } from './scripted-smtp-connection.ts';

/** Where a hook can stand. `BODY` is reached after `bodyHookAfter` bytes of a body, `RESPONSE` is an answer to 334. */
export type Verb =
  | 'BANNER'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'AUTH'
  | 'RESPONSE'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'BODY'
  | 'DOT'
  | 'RSET'
  | 'NOOP'
  | 'QUIT';

/**
 * A string is a reply, sent with CRLF. `raw` is sent as it is. `close` ends the connection in order, `reset` with
 * RST, both after sending `say`; `silent` never says anything again. After the dot, `store` tells whether the
 * message is kept; the default is to keep it unless the answer is 4xx or 5xx.
 */
export type Answer =
  | string
  | { readonly reply: string; readonly store?: boolean }
  | { readonly raw: string | Uint8Array; readonly store?: boolean }
  | { readonly close: true; readonly say?: string; readonly store?: boolean }
  | { readonly reset: true; readonly say?: string; readonly store?: boolean }
  | { readonly silent: true; readonly store?: boolean };

/** Undefined leaves the reply to the server. */
export type Hook = (connection: ServerConnection, verb: Verb, argument: string) => Answer | undefined;

export interface ScriptedServerOptions {
  readonly tls?: 'none' | 'starttls' | 'implicit';
  /** Needed for TLS. */
  readonly certificate?: { readonly key: string; readonly cert: string };
  readonly pipelining?: boolean;
  /** Further lines of the EHLO reply. */
  readonly extensions?: readonly string[];
  readonly auth?: { readonly methods: readonly string[]; readonly username: string; readonly secret: string };
  /** Delays every piece in each direction; pieces in flight do not wait for each other. */
  readonly oneWayDelayMs?: number;
  readonly hooks?: Partial<Record<Verb, Hook>>;
  readonly bodyHookAfter?: number;
}

export interface StoredMessage {
  readonly from: string;
  /** The recipients that were accepted. */
  readonly recipients: readonly string[];
  /** The body, dots unstuffed. */
  readonly data: Buffer;
  /** The reply to the dot; undefined where none was sent. */
  readonly answered: string | undefined;
  readonly connection: ServerConnection;
}

export interface ScriptedServer {
  readonly port: number;
  readonly messages: readonly StoredMessage[];
  readonly connections: readonly ServerConnection[];
  /** Resolves once that many messages were stored in all. */
  waitForMessages(count: number): Promise<readonly StoredMessage[]>;
  close(): Promise<void>;
}

export async function startScriptedServer(options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
  const messages: StoredMessage[] = [];
  const connections: ServerConnection[] = [];
  const waiting = new Set<{ count: number; resolve: (stored: readonly StoredMessage[]) => void }>();

  const store = (message: StoredMessage) => {
    messages.push(message);
    for (const waiter of waiting) {
      if (messages.length < waiter.count) continue;
      waiting.delete(waiter);
      waiter.resolve(messages);
    }
  };
  const accept = (socket: net.Socket) => connections.push(new ServerConnection(socket, options, store));
  const server =
    options.tls === 'implicit'
      ? tls.createServer({ ...options.certificate, noDelay: true }, accept)
      : net.createServer({ noDelay: true }, accept);
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    // A handshake that fails is the client's finding, not ours.
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as net.AddressInfo).port,
    messages,
    connections,
    waitForMessages(count) {
      if (messages.length >= count) return Promise.resolve(messages);
      return new Promise((resolve) => waiting.add({ count, resolve }));
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
