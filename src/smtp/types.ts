/** What the parts of `smtp/` and their users agree on. */

/** How a connection is protected. `none` is only for deployments that allow it (local development). */
export type TlsMode = 'implicit' | 'starttls' | 'none';

export interface RelayAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
}

/** `auto` takes the strongest that the server offers: CRAM-MD5 only without TLS, else PLAIN, else LOGIN. */
export type AuthMethod = 'auto' | 'plain' | 'login' | 'cram-md5' | 'xoauth2';

export interface Credentials {
  readonly username: string;
  /** The password, or the access token for XOAUTH2. */
  readonly secret: string;
  readonly method: AuthMethod;
}

/** A byte stream to a server. `smtp/connection.ts` makes one of a Workers socket; tests make one of node:net. */
export interface Transport {
  write(bytes: Uint8Array): Promise<void>;
  /** The next bytes; undefined once the server has closed its side. Rejects when the connection broke. */
  read(): Promise<Uint8Array | undefined>;
  /** Upgrades in place. Nothing may be in flight in either direction. Rejects where the handshake fails. */
  startTls(): Promise<void>;
  /** Never blocks and never throws; safe to call twice. */
  close(): void;
}

/** A complete server reply (RFC 5321 section 4.2). Texts come without the code and are untrusted. */
export interface Reply {
  readonly code: number;
  /** RFC 2034/3463, as `5.1.1`. */
  readonly enhanced?: string;
  readonly lines: readonly string[];
}

/** Where in a session a fault arose. */
export type Stage =
  | 'connect'
  | 'banner'
  | 'ehlo'
  | 'starttls'
  | 'tls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'dot'
  | 'rset'
  | 'quit';

export type FaultKind =
  /** A reply that ends the session: 421, a 5xx banner, 535 … `reply` is set. */
  | 'reply'
  /** The server closed the connection where a reply was due. */
  | 'closed'
  /** The connection broke, or could not be made. */
  | 'broken'
  | 'timeout'
  /** The server spoke something that is not SMTP. */
  | 'protocol'
  /** The server does not offer what we insist on: STARTTLS, an AUTH method. */
  | 'unsupported'
  /** We ended it ourselves (`destroy`). */
  | 'aborted';

/** A fault of the whole session: every transaction under way on it ends with this. */
export class SmtpFault extends Error {
  override readonly name = 'SmtpFault';
  readonly stage: Stage;
  readonly kind: FaultKind;
  readonly reply: Reply | undefined;

  constructor(stage: Stage, kind: FaultKind, message: string, reply?: Reply) {
    super(message);
    this.stage = stage;
    this.kind = kind;
    this.reply = reply;
  }
}

/** All in milliseconds. RFC 5321 section 4.5.3.2 gives the defaults; they are settings so that tests scale them. */
export interface PhaseTimeouts {
  readonly connectMs: number;
  readonly bannerMs: number;
  /** EHLO, STARTTLS, AUTH, MAIL, RCPT, RSET, QUIT: each. */
  readonly commandMs: number;
  readonly dataMs: number;
  /** One write of a body chunk. */
  readonly bodyWriteMs: number;
  readonly dotMs: number;
}

export interface SessionOptions {
  readonly ehloName: string;
  readonly tls: TlsMode;
  readonly credentials?: Credentials;
  readonly timeouts: PhaseTimeouts;
  /** Told every line of the session, credentials and message bodies already replaced by a placeholder. */
  readonly onLine?: (direction: 'client' | 'server', line: string) => void;
}

/** What the server said it can do, after its last EHLO (the one inside TLS where there is TLS). */
export interface Capabilities {
  readonly pipelining: boolean;
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  readonly enhancedStatusCodes: boolean;
  /** undefined: SIZE not offered; 0: offered without a limit. */
  readonly size: number | undefined;
  readonly authMethods: readonly string[];
  readonly startTls: boolean;
  /** All keywords as sent, upper case. */
  readonly keywords: readonly string[];
}

export interface Envelope {
  /** Bare address; empty for the null sender. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly sizeBytes: number;
  readonly eightBit: boolean;
  /** True where an address needs SMTPUTF8. The caller has checked that the server offers it. */
  readonly smtpUtf8: boolean;
}

/** The replies to MAIL, RCPT and DATA. `ready` means 354 was read and at least one recipient was accepted. */
export interface EnvelopeVerdict {
  readonly mail: Reply;
  /** In the order of the envelope. Empty where MAIL was refused and nothing was pipelined behind it. */
  readonly recipients: readonly Reply[];
  readonly data: Reply | undefined;
  readonly ready: boolean;
}

/**
 * One mail transaction. The order of calls is: `begin`, await `envelope`, `write` the body, `finish`.
 * Where the verdict is not `ready` nothing more may be called; the session has cleaned up after itself
 * (RSET before the next MAIL, or the connection dropped where the server said 354 with no recipient).
 */
export interface Transaction {
  readonly envelope: Promise<EnvelopeVerdict>;
  /**
   * Dot-stuffs and sends a piece of the body. The message must have CRLF line ends; pieces may split anywhere.
   * A small body waits for `flush`, to leave in one write with its dot.
   */
  write(piece: Uint8Array): Promise<void>;
  /**
   * Queues the final dot; `flush` sends it. Resolves with the server's reply to it. Rejects with an
   * `SmtpFault` where the connection ended first: then the message is in doubt if `dotSent` is true.
   */
  finish(): Promise<Reply>;
  /** True from the moment the bytes of the final dot were handed to the transport. */
  readonly dotSent: boolean;
}

/**
 * A session that is ready for mail. Commands are queued and leave together on `flush`, so that the final
 * dot of one message and MAIL/RCPT/DATA of the next share one write (RFC 2920). Where the server offers
 * no PIPELINING, `begin` sends one command at a time by itself, after the dot before it was answered.
 */
export interface SmtpSession {
  readonly capabilities: Capabilities;
  /** False once the session has failed, was closed or is closing. */
  readonly alive: boolean;
  /** Resolves when the session ends, with the fault, or undefined after an orderly QUIT. */
  readonly ended: Promise<SmtpFault | undefined>;
  begin(envelope: Envelope): Transaction;
  flush(): void;
  /** QUIT, wait briefly for the answer, close. Never throws. */
  quit(): Promise<void>;
  /** Closes at once, without the dot: a server must then discard the message (RFC 5321 section 4.1.1.4). */
  destroy(): void;
}
