/**
 * Commands out, replies in, over one connection.
 *
 * - One reader loop; replies are matched to commands by order alone, through one queue.
 * - A command joins that queue only when its bytes are handed to the transport. A reply that comes when
 *   the queue is empty was not caused by us, and ends the channel: it must never be taken for the answer
 *   to a dot that has not left yet.
 * - The head of the queue owns the timer. Whatever ends the channel rejects everything that waits, once,
 *   with the same fault; after that no timer runs.
 */
import { Deadline } from './deadline.ts';
import { expectReply, handled, isAnswerTo, type Pending } from './expected-reply.ts';
import { isPositive, ReplyParser } from './reply.ts';
import {
  type FaultKind,
  type PhaseTimeouts,
  type Reply,
  SmtpFault,
  type Stage,
  type Transport,
} from './types.ts';

type OnLine = (direction: 'client' | 'server', line: string) => void;

/** Of a body, what waits for the next flush at most. */
const HELD_BODY_BYTES = 64 * 1024;

interface QueuedCommand {
  readonly bytes: Uint8Array;
  /** Absent for a piece of a body, which has no reply. */
  readonly pending: Pending | undefined;
  readonly shown: string | undefined;
  readonly onSent: (() => void) | undefined;
}

interface CommandOptions {
  /** What the transcript shows in place of the line. */
  readonly shown?: string;
  /** Called as the bytes are handed to the transport. */
  readonly onSent?: () => void;
  readonly timeoutMs?: number;
}

export class Channel {
  readonly ended: Promise<SmtpFault | undefined>;
  /** Where a fault is put that arises while no reply is due. */
  quietStage: Stage = 'banner';

  readonly #transport: Transport;
  readonly #timeouts: PhaseTimeouts;
  readonly #onLine: OnLine | undefined;
  readonly #parser = new ReplyParser();
  readonly #deadline = new Deadline();
  readonly #writes = new Set<(fault: SmtpFault) => void>();
  readonly #resolveEnded: (fault: SmtpFault | undefined) => void;
  #queued: QueuedCommand[] = [];
  #awaited: Pending[] = [];
  #timed: Pending | undefined;
  #endedBy: SmtpFault | undefined;
  #upgrading = false;

  constructor(transport: Transport, timeouts: PhaseTimeouts, onLine?: OnLine) {
    this.#transport = transport;
    this.#timeouts = timeouts;
    this.#onLine = onLine;
    const { promise, resolve } = Promise.withResolvers<SmtpFault | undefined>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  get open(): boolean {
    return this.#endedBy === undefined;
  }

  /** What everything is rejected with from now on. */
  get endedBy(): SmtpFault | undefined {
    return this.#endedBy;
  }

  /** Starts reading; resolves with the server's greeting. */
  greeting(): Promise<Reply> {
    const { promise, pending } = expectReply('banner', this.#timeouts.bannerMs);
    this.#awaited.push(pending);
    this.#armTimer();
    void this.#readReplies();
    return promise;
  }

  /** Queues a command; it leaves with the next `flush`. */
  command(stage: Stage, bytes: Uint8Array, options: CommandOptions = {}): Promise<Reply> {
    const { promise, pending } = expectReply(stage, options.timeoutMs ?? this.#timeoutOf(stage));
    if (this.#endedBy !== undefined) pending.reject(this.#endedBy);
    else this.#queued.push({ bytes, pending, shown: options.shown, onSent: options.onSent });
    return promise;
  }

  /** Sends one command at once and waits for its reply. */
  exchange(stage: Stage, bytes: Uint8Array, options?: CommandOptions): Promise<Reply> {
    const reply = this.command(stage, bytes, options);
    this.flush();
    return reply;
  }

  /** Hands everything queued to the transport, in a single write. */
  flush(): void {
    if (this.#queued.length === 0) return;
    const commands = this.#queued;
    this.#queued = [];
    for (const command of commands) {
      if (command.pending) this.#awaited.push(command.pending);
      this.#showCommand(command);
      command.onSent?.();
    }
    this.#armTimer();
    this.#transport.write(concatenate(commands)).catch((error) => this.#breakOff(error));
  }

  /**
   * Sends a piece of a message; resolves when the next one may come. A small piece waits for the next flush,
   * to leave in one write with the dot: of two small writes in a row, Nagle's algorithm would hold back the
   * second until the server's delayed acknowledgement of the first, some 40 ms for each message.
   */
  writeBody(bytes: Uint8Array): Promise<void> {
    if (this.#endedBy !== undefined) return handled(Promise.reject(this.#endedBy));
    const heldBytes = this.#queued.reduce((sum, queued) => sum + queued.bytes.length, 0);
    if (heldBytes + bytes.length <= HELD_BODY_BYTES) {
      // A copy, because the caller may use its buffer again once this has resolved.
      this.#queued.push({
        bytes: bytes.slice(),
        pending: undefined,
        shown: `[${bytes.length} bytes]`,
        onSent: undefined,
      });
      return Promise.resolve();
    }
    this.flush();
    this.#onLine?.('client', `[${bytes.length} bytes]`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#writes.add(reject);
    const timer = setTimeout(() => this.#timeOut('body'), this.#timeouts.bodyWriteMs);
    const settle = () => {
      clearTimeout(timer);
      this.#writes.delete(reject);
    };
    promise.then(settle, settle);
    this.#transport.write(bytes).then(resolve, (error) => this.#breakOff(error));
    return handled(promise);
  }

  /** Upgrades the connection after a positive reply to STARTTLS, at which reading has stopped. */
  async upgrade(): Promise<void> {
    // What came behind that reply may have ended the channel already; nothing would end a handshake now.
    if (this.#endedBy !== undefined) throw this.#endedBy;
    const { promise: ended, reject } = Promise.withResolvers<never>();
    this.#writes.add(reject);
    this.quietStage = 'tls';
    this.#deadline.set(this.#timeouts.connectMs, () => this.#timeOut('tls'));
    try {
      await Promise.race([this.#transport.startTls(), ended]);
    } catch (error) {
      this.#breakOff(error);
    }
    this.#writes.delete(reject);
    this.#deadline.drop();
    if (this.#endedBy !== undefined) throw this.#endedBy;
    this.#upgrading = false;
    void this.#readReplies();
  }

  fail(kind: FaultKind, message: string, { stage = this.#stage, reply }: FaultDetails = {}): void {
    this.end(new SmtpFault(stage, kind, message, reply));
  }

  /** Ends the channel with this fault, or in order where there is none. Only the first call counts. */
  end(fault?: SmtpFault): void {
    if (this.#endedBy !== undefined) return;
    this.#endedBy = fault ?? new SmtpFault(this.#stage, 'aborted', 'The session was closed.');
    this.#deadline.stop();
    this.#transport.close();
    for (const { pending } of this.#queued) pending?.reject(this.#endedBy);
    for (const pending of this.#awaited) pending.reject(this.#endedBy);
    for (const reject of this.#writes) reject(this.#endedBy);
    this.#queued = [];
    this.#awaited = [];
    this.#writes.clear();
    this.#resolveEnded(fault);
  }

  get #stage(): Stage {
    return this.#awaited[0]?.stage ?? this.quietStage;
  }

  async #readReplies(): Promise<void> {
    try {
      while (this.open && !this.#upgrading) {
        const bytes = await this.#transport.read();
        if (!this.open) return;
        if (bytes === undefined) return this.fail('closed', 'The server closed the connection.');
        this.#take(bytes);
      }
    } catch (error) {
      this.#breakOff(error);
    }
  }

  #take(bytes: Uint8Array): void {
    const { replies, fault } = this.#parser.push(bytes);
    for (const reply of replies) {
      this.#showReply(reply);
      this.#match(reply);
      if (!this.open) return;
    }
    // Bytes behind the 220 came in clear, from anyone; the handshake must not make them trusted.
    const injected = this.#upgrading && this.#parser.midReply;
    if (fault !== undefined) this.fail('protocol', fault);
    else if (injected) this.fail('protocol', 'Bytes came after the reply to STARTTLS.');
    else this.#armTimer();
  }

  #match(reply: Reply): void {
    const pending = this.#awaited[0];
    const stage = this.#stage;
    if (pending === undefined && reply.code !== 421) {
      this.fail('protocol', 'A reply came that no command had asked for.', { stage, reply });
    } else if (pending !== undefined && !isAnswerTo(stage, reply.code)) {
      this.fail('protocol', 'The reply does not fit the command.', { stage, reply });
    } else {
      this.#awaited.shift();
      pending?.resolve(reply);
      if (reply.code === 421) this.fail('reply', 'The server is closing the session.', { stage, reply });
      else if (stage === 'quit') this.end();
      else if (stage === 'starttls') this.#upgrading = isPositive(reply);
      // What comes behind that reply belongs to it.
      if (this.#upgrading) this.quietStage = stage;
    }
  }

  #timeoutOf(stage: Stage): number {
    if (stage === 'dot') return this.#timeouts.dotMs;
    return stage === 'data' ? this.#timeouts.dataMs : this.#timeouts.commandMs;
  }

  /** A new head has its time from now on: a reply that drips in does not get more. */
  #armTimer(): void {
    const head = this.#awaited[0];
    if (head === this.#timed) return;
    this.#timed = head;
    if (head === undefined) this.#deadline.drop();
    else this.#deadline.set(head.timeoutMs, () => this.#timeOut(head.stage));
  }

  #timeOut(stage: Stage): void {
    this.fail('timeout', 'The server did not answer in time.', { stage });
  }

  #breakOff(error: unknown): void {
    const fault =
      error instanceof SmtpFault ? error : new SmtpFault(this.#stage, 'broken', 'The connection broke.');
    if (fault !== error) fault.cause = error;
    this.end(fault);
  }

  #showCommand({ bytes, shown }: QueuedCommand): void {
    this.#onLine?.('client', shown ?? new TextDecoder().decode(bytes.subarray(0, -2)));
  }

  #showReply({ code, lines }: Reply): void {
    if (this.#onLine === undefined) return;
    for (const [index, line] of lines.entries()) {
      this.#onLine('server', `${code}${index === lines.length - 1 ? ' ' : '-'}${line}`);
    }
  }
}

interface FaultDetails {
  readonly stage?: Stage;
  readonly reply?: Reply;
}

function concatenate(commands: readonly QueuedCommand[]): Uint8Array {
  const [first] = commands;
  if (first !== undefined && commands.length === 1) return first.bytes;
  const whole = new Uint8Array(commands.reduce((length, { bytes }) => length + bytes.length, 0));
  let offset = 0;
  for (const { bytes } of commands) {
    whole.set(bytes, offset);
    offset += bytes.length;
  }
  return whole;
}
