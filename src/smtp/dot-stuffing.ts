/**
 * Makes the body of a message transparent (RFC 5321 section 4.5.2), piece by piece.
 *
 * It is also the last place before the wire, so it lets no bare CR and no bare LF pass: servers disagree
 * about those, and the disagreement is what SMTP smuggling lives on. A CR at the end of a piece is held
 * back until its LF was seen. Composed mail has CRLF only, so this never fires unless something is wrong.
 */
const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;

/** The message has a line end that is not CRLF. Nothing of the piece was released. */
export class LineEndError extends Error {
  override readonly name = 'LineEndError';

  constructor() {
    super('The message contains a CR or LF that is not part of a CRLF.');
  }
}

export class DotStuffer {
  #atLineStart = true;
  #heldCr = false;

  /**
   * What to send for this piece: a view of the piece itself where nothing had to change, so it must not
   * be modified before it was sent.
   */
  push(piece: Uint8Array): Uint8Array {
    if (piece.length === 0) return piece;
    const hadCr = this.#heldCr;
    const dots = this.#scan(piece);
    const end = this.#heldCr ? piece.length - 1 : piece.length;
    if (!hadCr && dots.length === 0) return piece.subarray(0, end);

    const out = new Uint8Array(end + dots.length + (hadCr ? 1 : 0));
    let written = 0;
    if (hadCr) out[written++] = CR;
    let copied = 0;
    for (const dot of [...dots, end]) {
      out.set(piece.subarray(copied, dot), written);
      written += dot - copied;
      copied = dot;
      if (dot < end) out[written++] = DOT;
    }
    return out;
  }

  /** The end of data, with the CRLF that the body may lack. */
  end(): Uint8Array {
    if (this.#heldCr) throw new LineEndError();
    return new TextEncoder().encode(this.#atLineStart ? '.\r\n' : '\r\n.\r\n');
  }

  /** Checks the line ends of the piece and returns where its dots begin a line. */
  #scan(piece: Uint8Array): number[] {
    const dots: number[] = [];
    let from = 0;
    if (this.#heldCr) {
      if (piece[0] !== LF) throw new LineEndError();
      this.#heldCr = false;
      this.#atLineStart = true;
      from = 1;
    }
    while (from < piece.length) {
      if (this.#atLineStart && piece[from] === DOT) dots.push(from);
      this.#atLineStart = false;
      const cr = piece.indexOf(CR, from);
      const lf = piece.indexOf(LF, from);
      if (cr === -1 && lf === -1) break;
      if (cr === piece.length - 1 && lf === -1) {
        this.#heldCr = true;
        break;
      }
      if (cr === -1 || lf !== cr + 1) throw new LineEndError();
      this.#atLineStart = true;
      from = lf + 1;
    }
    return dots;
  }
}
