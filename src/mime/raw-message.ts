/**
 * Raw mail as it comes in, piece by piece: checked, its header read, and handed on with CRLF line ends. The
 * pieces may be cut anywhere. What is handed on before an error must be thrown away.
 *
 * Line ends are all CRLF or all LF. Everything else is refused, because servers disagree about what it means,
 * and that is what smuggling lives on.
 */
import { isAscii } from 'node:buffer';
import { type Additions, parseRawHeader, type RawHeader, RawMessageError } from './raw-header.ts';

export { type Additions, type RawHeader, RawMessageError } from './raw-header.ts';

const MAX_HEADER_BYTES = 256 * 1024;
/** RFC 5322 section 2.1.1, without the line end. */
const MAX_LINE = 998;
const LF = 0x0a;
const CR = 0x0d;
const HEADER_END = '\r\n\r\n';
const CRLF = new Uint8Array([CR, LF]);

export class RawMessageReader {
  /** Octets handed on. */
  sizeBytes = 0;
  #isSevenBit = true;
  #header: RawHeader | undefined;
  /** Grows by doubling: pieces may be as short as an octet. */
  #headerBuffer = Buffer.alloc(8 * 1024);
  #headerLength = 0;
  readonly #lines = new LineEnds();
  readonly #additions: Additions;
  readonly #write: (bytes: Uint8Array) => void;

  constructor(additions: Additions, write: (bytes: Uint8Array) => void) {
    this.#additions = additions;
    this.#write = write;
  }

  /** Present as soon as the whole header was read. */
  get header(): RawHeader | undefined {
    return this.#header;
  }

  get eightBit(): boolean {
    return !this.#isSevenBit;
  }

  /** Throws `RawMessageError`. */
  push(piece: Uint8Array): void {
    this.#take(this.#lines.push(piece));
  }

  /** Throws `RawMessageError`. */
  end(): RawHeader {
    this.#take(this.#lines.end());
    // A message may be a header only.
    return this.#header ?? this.#endHeader(this.#headerBuffer.subarray(0, this.#headerLength));
  }

  #take(bytes: Uint8Array): void {
    if (this.#header) {
      this.#handOn(bytes);
      return;
    }
    const from = Math.max(0, this.#headerLength - HEADER_END.length + 1);
    this.#appendHeader(bytes);
    const read = this.#headerBuffer.subarray(0, this.#headerLength);
    const end = read.indexOf(HEADER_END, from);
    const isEmpty = read.subarray(0, 2).equals(CRLF);
    if ((end < 0 ? read.length : end) > MAX_HEADER_BYTES) {
      throw new RawMessageError('its header is larger than 256 KiB');
    }
    if (end < 0 && !isEmpty) return;
    const bodyStart = isEmpty ? 2 : end + HEADER_END.length;
    this.#endHeader(read.subarray(0, bodyStart));
    this.#handOn(read.subarray(bodyStart));
  }

  #appendHeader(bytes: Uint8Array): void {
    const length = this.#headerLength + bytes.length;
    if (length > this.#headerBuffer.length) {
      const grown = Buffer.alloc(Math.max(length, 2 * this.#headerBuffer.length));
      grown.set(this.#headerBuffer.subarray(0, this.#headerLength));
      this.#headerBuffer = grown;
    }
    this.#headerBuffer.set(bytes, this.#headerLength);
    this.#headerLength = length;
  }

  #endHeader(bytes: Uint8Array): RawHeader {
    const header = parseRawHeader(bytes, this.#additions);
    this.#header = header;
    this.#headerBuffer = Buffer.alloc(0);
    this.#handOn(header.bytes);
    return header;
  }

  #handOn(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#isSevenBit &&= isAscii(bytes);
    this.sizeBytes += bytes.length;
    this.#write(bytes);
  }
}

/** Checks octets and line ends; the first line end decides which kind all others must be. */
class LineEnds {
  #kind: 'crlf' | 'lf' | undefined;
  #heldCr = false;
  #lineBytes = 0;

  /** The piece itself where it has CRLF already. */
  push(piece: Uint8Array): Uint8Array {
    let lineEnds = 0;
    let held = this.#heldCr;
    let length = this.#lineBytes;
    for (let at = 0; at < piece.length; at++) {
      const octet = piece[at];
      if (octet === LF) {
        const kind = held ? 'crlf' : 'lf';
        this.#kind ??= kind;
        if (this.#kind !== kind) throw new RawMessageError('its line ends are partly CRLF and partly LF');
        held = false;
        length = 0;
        lineEnds++;
        continue;
      }
      if (held) throw new RawMessageError('it has a CR without LF');
      if (octet === CR) held = true;
      else if (octet === 0) throw new RawMessageError('it has a NUL octet');
      else if (++length > MAX_LINE) throw new RawMessageError('it has a line of more than 998 octets');
    }
    this.#heldCr = held;
    this.#lineBytes = length;
    return this.#kind === 'lf' ? withCrlf(piece, lineEnds) : piece;
  }

  /** The line end that the last line may lack: on the wire it gets one in any case. */
  end(): Uint8Array {
    if (this.#heldCr) throw new RawMessageError('it has a CR without LF');
    return this.#lineBytes === 0 ? new Uint8Array() : CRLF;
  }
}

function withCrlf(piece: Uint8Array, lineEnds: number): Uint8Array {
  if (lineEnds === 0) return piece;
  const out = new Uint8Array(piece.length + lineEnds);
  let written = 0;
  let copied = 0;
  for (let lf = piece.indexOf(LF); lf >= 0; lf = piece.indexOf(LF, lf + 1)) {
    out.set(piece.subarray(copied, lf), written);
    written += lf - copied;
    out[written++] = CR;
    out[written++] = LF;
    copied = lf + 1;
  }
  out.set(piece.subarray(copied), written);
  return out;
}
