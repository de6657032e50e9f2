/**
 * One mail transaction on a channel.
 *
 * With PIPELINING its commands are queued as it is made and leave with the next flush; without, each one
 * is sent when the reply before it is there. Either way the verdict is read in the order of the commands.
 */
import type { Channel } from './channel.ts';
import { DATA, mail, RSET, rcpt } from './command.ts';
import { DotStuffer } from './dot-stuffing.ts';
import { handled } from './expected-reply.ts';
import { isPositive } from './reply.ts';
import {
  type Capabilities,
  type Envelope,
  type EnvelopeVerdict,
  type Reply,
  SmtpFault,
  type Stage,
  type Transaction,
} from './types.ts';

type Ask = () => Promise<Reply>;

interface TransactionOptions {
  readonly capabilities: Capabilities;
  /** Whether the transaction before left the server in need of a RSET. */
  readonly reset: boolean;
  /** Settles when the transaction before is over. */
  readonly after: Promise<unknown> | undefined;
}

export class ChannelTransaction implements Transaction {
  readonly envelope: Promise<EnvelopeVerdict>;
  readonly #channel: Channel;
  readonly #stuffer = new DotStuffer();
  readonly #over = Promise.withResolvers<void>();
  #phase: 'envelope' | 'body' | 'dot' | 'refused' = 'envelope';
  #dotSent = false;

  /** Throws a `CommandError`, before anything is queued, where the envelope cannot be put on a line. */
  constructor(channel: Channel, envelope: Envelope, options: TransactionOptions) {
    this.#channel = channel;
    const { pipelining } = options.capabilities;
    const lines: [Stage, Uint8Array][] = [
      ['mail', mail(envelope, options.capabilities)],
      ...envelope.recipients.map((to): [Stage, Uint8Array] => ['rcpt', rcpt(to, envelope.smtpUtf8)]),
      ['data', DATA],
    ];
    if (options.reset) lines.unshift(['rset', RSET]);
    const asks = lines.map(([stage, bytes]): Ask => {
      if (!pipelining) return () => channel.exchange(stage, bytes);
      const reply = channel.command(stage, bytes);
      return () => reply;
    });
    this.envelope = this.#negotiate(asks, options);
    this.envelope.catch(() => this.#over.resolve());
  }

  get dotSent(): boolean {
    return this.#dotSent;
  }

  /** The envelope is still being discussed, or the body is under way: no other command may be sent. */
  get occupied(): boolean {
    return this.#phase === 'envelope' || this.#phase === 'body';
  }

  get refused(): boolean {
    return this.#phase === 'refused';
  }

  /** Settles when the server has answered the last command of this transaction, or never will. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  write(piece: Uint8Array): Promise<void> {
    return handled(this.#write(piece));
  }

  async #write(piece: Uint8Array): Promise<void> {
    this.#demandBody();
    const bytes = this.#guarded(() => this.#stuffer.push(piece));
    if (bytes.length > 0) await this.#channel.writeBody(bytes);
  }

  finish(): Promise<Reply> {
    let reply: Promise<Reply>;
    try {
      this.#demandBody();
      const end = this.#guarded(() => this.#stuffer.end());
      reply = this.#channel.command('dot', end, { shown: '.', onSent: () => this.#leaveBody() });
      this.#phase = 'dot';
    } catch (error) {
      reply = Promise.reject(error);
    }
    const settle = () => this.#over.resolve();
    reply.then(settle, settle);
    return reply;
  }

  #leaveBody(): void {
    this.#dotSent = true;
    this.#channel.quietStage = 'mail';
  }

  async #negotiate(asks: Ask[], options: TransactionOptions): Promise<EnvelopeVerdict> {
    const { pipelining } = options.capabilities;
    if (!pipelining) await options.after;
    if (options.reset) await this.#reset(asks.shift());
    const verdict = await readVerdict(asks, pipelining);
    const isOpen = verdict.data?.code === 354;
    if (verdict.ready) {
      this.#phase = 'body';
      this.#channel.quietStage = 'body';
      return verdict;
    }
    this.#phase = 'refused';
    this.#over.resolve();
    if (isOpen) {
      // The server waits for a body that nobody is to get. Even an empty one might be delivered somewhere.
      this.#channel.fail('aborted', 'The server accepted DATA without a recipient.', { stage: 'data' });
    }
    return verdict;
  }

  async #reset(ask: Ask | undefined): Promise<void> {
    const reply = await ask?.();
    if (reply === undefined || isPositive(reply)) return;
    const fault = new SmtpFault('rset', 'reply', 'The server refused to reset the session.', reply);
    this.#channel.end(fault);
    throw fault;
  }

  #demandBody(): void {
    if (this.#channel.endedBy !== undefined) throw this.#channel.endedBy;
    if (this.#phase !== 'body') throw new Error('The transaction does not take a body now.');
  }

  /** A body that cannot be sent as it is must not be completed either. */
  #guarded(stuff: () => Uint8Array): Uint8Array {
    try {
      return stuff();
    } catch (error) {
      this.#channel.fail('aborted', 'The body has bare line ends.', { stage: 'body' });
      throw error;
    }
  }
}

/** Reads the replies to MAIL, each RCPT and DATA. */
async function readVerdict(asks: readonly Ask[], pipelining: boolean): Promise<EnvelopeVerdict> {
  const expected = asks.length;
  const replies: Reply[] = [];
  try {
    for (const [index, ask] of asks.entries()) {
      if (!pipelining && (index === 1 || index === expected - 1) && isPointless(replies)) break;
      replies.push(await ask());
    }
  } catch (error) {
    const last = replies.at(-1);
    // 421 announces the end of the session, and so answers whatever stood behind it in the envelope.
    if (last?.code === 421) while (replies.length < expected) replies.push(last);
    // Where nothing could become ready any more the verdicts count, whatever happened to the connection.
    else if (!(error instanceof SmtpFault && isDecided(replies, expected))) throw error;
  }
  const [mailReply, ...rest] = replies;
  if (mailReply === undefined) throw new Error('An envelope without a MAIL command.');
  const recipients = rest.slice(0, expected - 2);
  const data = rest[expected - 2];
  return {
    mail: mailReply,
    recipients,
    data,
    ready: data?.code === 354 && !isPointless([mailReply, ...recipients]),
  };
}

/** True where MAIL was refused or, with the replies so far, no recipient was accepted. */
function isPointless([mailReply, ...recipients]: readonly Reply[]): boolean {
  if (mailReply !== undefined && !isPositive(mailReply)) return true;
  return recipients.length > 0 && !recipients.some(isPositive);
}

function isDecided(replies: readonly Reply[], expected: number): boolean {
  const [mailReply] = replies;
  if (mailReply === undefined) return false;
  return !isPositive(mailReply) || (replies.length >= expected - 1 && isPointless(replies));
}
