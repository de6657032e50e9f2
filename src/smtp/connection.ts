/**
 * The only file that opens sockets. What the platform needs here: no lock may be held at `startTls()`;
 * `expectedServerHostname` is not passed, because outside local development it breaks the handshake;
 * `close()` may take many seconds or reject with nothing, so nobody waits for it.
 */
import { connect } from 'cloudflare:sockets';
import { openSession } from './session.ts';
import {
  type RelayAddress,
  type SessionOptions,
  SmtpFault,
  type SmtpSession,
  type Stage,
  type TlsMode,
  type Transport,
} from './types.ts';

const SECURE_TRANSPORT = {
  implicit: 'on',
  starttls: 'starttls',
  none: 'off',
} as const satisfies Record<TlsMode, SocketOptions['secureTransport']>;

/** Connects, and for implicit TLS shakes hands; the platform does not tell a failure of one from the other. */
export async function connectSocket(address: RelayAddress, connectTimeoutMs: number): Promise<Transport> {
  const transport = new SocketTransport(dial(address), connectTimeoutMs);
  await transport.opened('connect');
  return transport;
}

export async function openRelaySession(address: RelayAddress, options: SessionOptions): Promise<SmtpSession> {
  return openSession(await connectSocket(address, options.timeouts.connectMs), options);
}

function dial({ host, port, tls }: RelayAddress): Socket {
  try {
    return connect(
      { hostname: host, port },
      { secureTransport: SECURE_TRANSPORT[tls], allowHalfOpen: false },
    );
  } catch (error) {
    throw brokenOff('connect', error);
  }
}

class SocketTransport implements Transport {
  readonly #timeoutMs: number;
  #socket: Socket;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(socket: Socket, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#socket = socket;
    this.#reader = socket.readable.getReader();
    this.#writer = socket.writable.getWriter();
    this.#ignoreClosing();
  }

  async opened(stage: Stage): Promise<void> {
    const { promise: timedOut, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new SmtpFault(stage, 'timeout', 'The connection was not ready in time.')),
      this.#timeoutMs,
    );
    try {
      await Promise.race([this.#socket.opened, timedOut]);
    } catch (error) {
      this.close();
      throw error instanceof SmtpFault ? error : brokenOff(stage, error);
    } finally {
      clearTimeout(timer);
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(bytes);
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value } = await this.#reader.read();
    return value;
  }

  async startTls(): Promise<void> {
    try {
      this.#reader.releaseLock();
      this.#writer.releaseLock();
      this.#socket = this.#socket.startTls();
      this.#reader = this.#socket.readable.getReader();
      this.#writer = this.#socket.writable.getWriter();
      this.#ignoreClosing();
    } catch (error) {
      throw brokenOff('tls', error);
    }
    await this.opened('tls');
  }

  close(): void {
    try {
      this.#socket.close().catch(() => {});
    } catch {
      // A socket that is broken already throws here; there is nothing left to close.
    }
  }

  #ignoreClosing(): void {
    this.#socket.closed.catch(() => {});
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
    this.#socket.opened.catch(() => {});
  }
}

function brokenOff(stage: Stage, cause: unknown): SmtpFault {
  const message = stage === 'tls' ? 'The TLS handshake failed.' : 'The connection could not be made.';
  const fault = new SmtpFault(stage, 'broken', message);
  fault.cause = cause;
  return fault;
}
