/**
 * Server replies out of bytes (RFC 5321 section 4.2), without any I/O.
 *
 * - Input may be cut anywhere: a line is decoded only once it is complete.
 * - A line ends at LF, with or without CR before it. Accepting the bare LF is harmless in this direction:
 *   whoever can write it to us could write CRLF as well.
 * - Control characters inside a text become U+FFFD, so that a text is one line wherever it is shown.
 * - Anything else that is not SMTP is a fault, and the parser stays at it: after that no byte can be
 *   attributed to a command any more.
 */
import type { Reply } from './types.ts';

/** RFC 5321 says 512; real servers go beyond it. Bounded because the server is not trusted with our memory. */
const MAX_LINE_OCTETS = 2_000;
const MAX_LINES = 200;
const MAX_REPLY_OCTETS = 64 * 1024;

const LF = 0x0a;
const CR = 0x0d;

export type ReplyFault =
  | 'The reply has a line that is too long.'
  | 'The reply is too long.'
  | 'The reply contains a NUL.'
  | 'The reply does not begin with a valid code.'
  | 'The code changes inside a multi-line reply.';

export interface ParsedReplies {
  readonly replies: readonly Reply[];
  /** Set once the input stopped being SMTP; the replies are those before it. */
  readonly fault: ReplyFault | undefined;
}

const LINE = /^([2-5]\d\d)(?:([ -])(.*))?$/s;
const ENHANCED = /^([245])\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})(?= |$)/;
const CONTROLS = /(?!\t)[\p{Cc}\u2028\u2029]/gu;

export class ReplyParser {
  readonly #decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  readonly #partial = new Uint8Array(MAX_LINE_OCTETS);
  #partialLength = 0;
  #lines: string[] = [];
  #code: number | undefined;
  #octets = 0;
  #fault: ReplyFault | undefined;

  /** True where bytes of a reply were read that is not complete yet. */
  get midReply(): boolean {
    return this.#partialLength > 0 || this.#lines.length > 0;
  }

  push(bytes: Uint8Array): ParsedReplies {
    const replies: Reply[] = [];
    let start = 0;
    while (this.#fault === undefined) {
      const end = bytes.indexOf(LF, start);
      const piece = bytes.subarray(start, end === -1 ? bytes.length : end);
      if (this.#partialLength + piece.length > MAX_LINE_OCTETS) {
        this.#fault = 'The reply has a line that is too long.';
      } else if (end === -1) {
        this.#partial.set(piece, this.#partialLength);
        this.#partialLength += piece.length;
        break;
      } else {
        const reply = this.#takeLine(this.#completed(piece));
        if (reply !== undefined) replies.push(reply);
        start = end + 1;
      }
    }
    return { replies, fault: this.#fault };
  }

  #completed(piece: Uint8Array): Uint8Array {
    if (this.#partialLength === 0) return piece;
    this.#partial.set(piece, this.#partialLength);
    const line = this.#partial.subarray(0, this.#partialLength + piece.length);
    this.#partialLength = 0;
    return line;
  }

  #takeLine(line: Uint8Array): Reply | undefined {
    this.#octets += line.length;
    if (line.includes(0)) return this.#stop('The reply contains a NUL.');
    const content = line.at(-1) === CR ? line.subarray(0, -1) : line;
    const match = LINE.exec(this.#decoder.decode(content));
    if (match === null) return this.#stop('The reply does not begin with a valid code.');
    const code = Number(match[1]);
    if (code !== (this.#code ?? code)) return this.#stop('The code changes inside a multi-line reply.');
    if (this.#lines.length === MAX_LINES || this.#octets > MAX_REPLY_OCTETS) {
      return this.#stop('The reply is too long.');
    }
    this.#code = code;
    this.#lines.push((match[3] ?? '').replace(CONTROLS, '\ufffd'));
    if (match[2] === '-') return undefined;

    const reply = completeReply(code, this.#lines);
    this.#code = undefined;
    this.#lines = [];
    this.#octets = 0;
    return reply;
  }

  #stop(fault: ReplyFault): undefined {
    this.#fault = fault;
  }
}

/** RFC 2034: an enhanced code counts only where its class is the one of the basic code. */
function completeReply(code: number, lines: readonly string[]): Reply {
  for (const line of lines) {
    const match = ENHANCED.exec(line);
    if (match !== null && Number(match[1]) === Math.floor(code / 100)) {
      return { code, enhanced: match[0], lines };
    }
  }
  return { code, lines };
}

/** True for 2xx. */
export function isPositive(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}
