/** The items of a JSON list of bytes (what JSON makes of a Node Buffer), read in pieces cut anywhere. */
const COMMA = 0x2c;
const CLOSE_BRACKET = 0x5d;
const ZERO = 0x30;
const NINE = 0x39;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
/** What is longer is no byte that anybody would write. */
const MAX_NUMBER = 64;

interface Sink {
  write(bytes: Uint8Array, form: 'bytes'): void;
}

/** Numbers from 0 to 255 with commas between, until anything else comes. */
export class ByteList {
  count = 0;
  /** A comma was read, and no number behind it. */
  #hasComma = false;
  /** The digits of a number that has not ended. */
  #token: number[] = [];
  #afterNumber = false;

  /** `rest`: the list of bytes ends at `read`, and these octets, read already, belong before what follows. */
  push(chunk: Uint8Array, start: number, sink: Sink): { read: number; rest?: Uint8Array } {
    const bytes = new Uint8Array(chunk.length - start);
    let decoded = 0;
    let at = start;
    let isOver = false;
    while (at < chunk.length && !isOver) {
      const octet = chunk[at] ?? 0;
      const isSpace = octet === 0x20 || octet === 0x0a || octet === 0x0d || octet === 0x09;
      if (this.#token.length > 0 && (isSpace || octet === COMMA || octet === CLOSE_BRACKET)) {
        const byte = byteOf(this.#token);
        if (byte === undefined) break;
        bytes[decoded++] = byte;
        this.count++;
        this.#token = [];
        this.#hasComma = false;
        this.#afterNumber = true;
      }
      if (isNumeric(octet) && !this.#afterNumber && this.#token.length < MAX_NUMBER) this.#token.push(octet);
      else if (octet === COMMA && this.#afterNumber) {
        this.#afterNumber = false;
        this.#hasComma = true;
      } else if (!isSpace) isOver = true;
      if (!isOver) at++;
    }
    if (decoded > 0) sink.write(bytes.subarray(0, decoded), 'bytes');
    return at < chunk.length ? { read: at, rest: this.rest() } : { read: at };
  }

  rest(): Uint8Array {
    return Uint8Array.from(this.#hasComma ? [COMMA, ...this.#token] : this.#token);
  }
}

function isNumeric(octet: number): boolean {
  if (octet >= ZERO && octet <= NINE) return true;
  // - + . e E
  return octet === 0x2d || octet === 0x2b || octet === 0x2e || octet === 0x65 || octet === 0x45;
}

function byteOf(token: readonly number[]): number | undefined {
  let value = 0;
  let isPlain = token.length <= 3 && (token.length === 1 || token[0] !== ZERO);
  for (let at = 0; at < token.length && isPlain; at++) {
    const octet = token[at] ?? 0;
    isPlain = octet >= ZERO && octet <= NINE;
    value = value * 10 + octet - ZERO;
  }
  if (!isPlain) {
    const text = String.fromCharCode(...token);
    value = NUMBER.test(text) ? Number(text) : -1;
  }
  return Number.isInteger(value) && value >= 0 && value <= 255 ? value : undefined;
}
