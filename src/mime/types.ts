/** What the parts of `mime/` and their users agree on. */

/** A parsed mailbox. It is always re-serialised from its parts; the text it came from is never passed on. */
export interface Mailbox {
  /** Display name, decoded; absent where there is none. */
  readonly name?: string;
  /** `local@domain`: the local part as given (NFC), the domain as lower-case A-labels. The one form that is stored and used on the wire. */
  readonly address: string;
  readonly local: string;
  /** Lower-case A-labels. */
  readonly domain: string;
  /** True where the local part is not ASCII. */
  readonly smtpUtf8: boolean;
}

export interface Attachment {
  readonly filename: string;
  readonly contentType: string;
  /** Present: inline, referred to as `cid:`. */
  readonly contentId?: string;
  readonly sizeBytes: number;
}

/** Everything that decides the bytes of a message. Composing is a pure function of this value. */
export interface MessageSource {
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  /** Bcc recipients are in the envelope only and are never part of a source. */
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly Attachment[];
  /** Without angle brackets. */
  readonly messageId: string;
  readonly dateMs: number;
  /** At least 128 bits of hex, the HMAC of the message id under a secret. All boundaries derive from it. */
  readonly boundarySeed: string;
}

export interface ComposedMessage {
  /** Exact, or an estimate from above: what the SIZE parameter of MAIL announces (RFC 1870). */
  readonly sizeBytes: number;
  /** True where the bytes need 8BITMIME (or SMTPUTF8). */
  readonly eightBit: boolean;
  /** The message with CRLF line ends, not dot-stuffed, in pieces. May be read once. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** The same at once, where it is short. */
  readonly whole?: Uint8Array;
}
