/** An SMTP client session over any byte stream: the handshake, then transactions one after the other. */
import { Channel } from './channel.ts';
import { QUIT } from './command.ts';
import { shakeHands } from './handshake.ts';
import { ChannelTransaction } from './transaction.ts';
import {
  type Capabilities,
  type Envelope,
  type SessionOptions,
  SmtpFault,
  type SmtpSession,
  type Transaction,
  type Transport,
} from './types.ts';

/** The answer to QUIT changes nothing any more, so it is not waited for as long as that of other commands. */
const QUIT_TIMEOUT_MS = 2_000;

/**
 * Takes over a connected transport and makes it ready for mail. Rejects with an `SmtpFault` (or a
 * `CommandError` where a setting cannot be sent), the transport closed.
 */
export async function openSession(transport: Transport, options: SessionOptions): Promise<SmtpSession> {
  const channel = new Channel(transport, options.timeouts, options.onLine);
  try {
    const capabilities = await shakeHands(channel, options);
    return new ChannelSession(channel, capabilities, quitTimeoutMs(options));
  } catch (error) {
    await sayQuit(channel, quitTimeoutMs(options));
    channel.end(error instanceof SmtpFault ? error : undefined);
    throw error;
  }
}

class ChannelSession implements SmtpSession {
  readonly capabilities: Capabilities;
  readonly ended: Promise<SmtpFault | undefined>;
  readonly #channel: Channel;
  readonly #quitTimeoutMs: number;
  #latest: ChannelTransaction | undefined;
  #closing = false;

  constructor(channel: Channel, capabilities: Capabilities, quitTimeout: number) {
    this.#channel = channel;
    this.#quitTimeoutMs = quitTimeout;
    this.capabilities = capabilities;
    this.ended = channel.ended;
  }

  get alive(): boolean {
    return this.#channel.open && !this.#closing;
  }

  begin(envelope: Envelope): Transaction {
    if (this.#closing || (this.#channel.open && this.#latest?.occupied)) {
      throw new Error('The session does not take a transaction now.');
    }
    this.#latest = new ChannelTransaction(this.#channel, envelope, {
      capabilities: this.capabilities,
      reset: this.#latest?.refused ?? false,
      after: this.#latest?.over,
    });
    return this.#latest;
  }

  flush(): void {
    this.#channel.flush();
  }

  async quit(): Promise<void> {
    // Inside a transaction QUIT would be read as a part of the message.
    if (this.#latest?.occupied) return this.destroy();
    this.#closing = true;
    this.#channel.flush();
    await this.#latest?.over;
    await sayQuit(this.#channel, this.#quitTimeoutMs);
    this.#channel.end();
  }

  destroy(): void {
    this.#channel.fail('aborted', 'The session was closed by us.');
  }
}

async function sayQuit(channel: Channel, timeoutMs: number): Promise<void> {
  if (!channel.open) return;
  await channel.exchange('quit', QUIT, { timeoutMs }).catch(() => {});
}

function quitTimeoutMs({ timeouts }: SessionOptions): number {
  return Math.min(timeouts.commandMs, QUIT_TIMEOUT_MS);
}
