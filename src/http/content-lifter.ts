/**
 * Takes the contents of attachments out of a JSON document while it is being read, so that nobody has to hold
 * them: `attachments[i].content` where it is a string, `attachments[i].content.data` where it is a list of
 * bytes. What remains is a small document with a mark in their place, which goes through the same strict parser
 * as every other body. So there is one judge of what JSON is, and this file only has to find where strings
 * begin and end.
 *
 * That is safe because a string is replaced by a string, and a list by a list, at the places of their tokens:
 * the rest is valid JSON if and only if the whole was. Whatever a content has that is not plain base64 or a
 * plain byte is put back behind the mark, as it came, for the parser to judge.
 *
 * No kept library does this: those that hand out strings in parts (stream-json) make an object of every 256
 * characters and have a grammar of their own, the others build the string.
 */
import { parseBase64Strict } from '../mime/attachment.ts';
import { ByteList } from './byte-list.ts';
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-characters.ts';

const SLASH = 0x2f;
const LOWER_U = 0x75;
/** `content`, `attachments`; a longer key is none of them, even written as escapes. */
const MAX_KEY_BYTES = 6 * 11;
/** Of the path root, list, attachment, content. Deeper levels are only counted. */
const MAX_TRACKED = 4;
/** Decoded in one go; a multiple of four. */
const BASE64_BYTES = 16 * 1024;

export interface ContentSink {
  /** Copies the bytes. `form` is how they were written in the document. */
  write(bytes: Uint8Array, form: 'base64' | 'bytes'): void;
  /** Ends one content and returns its number. */
  endContent(): number;
}

type State =
  | 'between'
  | 'string'
  | 'key'
  /** A content, being decoded. */
  | 'base64'
  /** A list of bytes, being decoded. */
  | 'bytes';

interface Level {
  readonly isArray: boolean;
  key: string | undefined;
}

export class ContentLifter {
  readonly #sink: ContentSink;
  readonly #mark: string;
  /** Takes what remains of the document. */
  readonly #keep: (bytes: Uint8Array) => void;
  #state: State = 'between';
  #escaped = false;
  #depth = 0;
  readonly #levels: Level[] = [];
  #expectsKey = false;
  #key: number[] = [];
  readonly #text: Buffer;
  #textBytes = 0;
  #isPadded = false;
  /** An escape whose end has not come yet. */
  #escape: number[] = [];
  #bytes = new ByteList();
  #isGivingBack = false;

  /** `mark` must be unknown to whoever wrote the document, and safe inside a JSON string. */
  constructor(sink: ContentSink, mark: string, keep: (bytes: Uint8Array) => void, blockBytes = BASE64_BYTES) {
    this.#text = Buffer.alloc(blockBytes);
    this.#sink = sink;
    this.#mark = mark;
    this.#keep = keep;
  }

  /** The string that stands for content number `n`. */
  markOf(n: number): string {
    return `${this.#mark}:${n};`;
  }

  /** In the middle of a content that turned out to be no base64. */
  get isGivingBack(): boolean {
    return this.#isGivingBack;
  }

  push(chunk: Uint8Array): void {
    // Where the part begins that is kept and was not handed on yet.
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'base64' || this.#state === 'bytes') {
        at = this.#state === 'base64' ? this.#pushBase64(chunk, at) : this.#pushBytes(chunk, at);
        from = at;
        continue;
      }
      if (this.#state === 'string' && !this.#escaped) at = endOfPlain(chunk, at);
      if (at === chunk.length) break;
      const octet = chunk[at++] ?? 0;
      if (this.#state !== 'between') this.#inString(octet);
      else if (octet === QUOTE) {
        this.#state = this.#expectsKey ? 'key' : 'string';
        if (this.#isAt('attachments', 'content') && !this.#expectsKey) this.#state = 'base64';
      } else this.#structure(octet);
      // The opening quote or bracket is kept; a mark follows it.
      if (this.#isLifting()) this.#keep(chunk.subarray(from, at));
    }
    if (from < at && !this.#isLifting()) this.#keep(chunk.subarray(from, at));
  }

  /** The document is over, possibly in the middle of a content: then what remains is no JSON either. */
  end(): void {
    if (this.#state === 'base64') this.#giveBack(this.#text.subarray(0, this.#textBytes));
    if (this.#state === 'bytes') this.#endBytes(this.#bytes.rest());
  }

  #isLifting(): boolean {
    return this.#state === 'base64' || this.#state === 'bytes';
  }

  #inString(octet: number): void {
    if (this.#state === 'key' && this.#key.length <= MAX_KEY_BYTES) this.#key.push(octet);
    if (this.#escaped) this.#escaped = false;
    else if (octet === BACKSLASH) this.#escaped = true;
    else if (octet === QUOTE) {
      if (this.#state === 'key') this.#endKey();
      this.#isGivingBack = false;
      this.#state = 'between';
    }
  }

  #endKey(): void {
    const level = this.#levels[this.#depth - 1];
    if (level) level.key = keyOf(this.#key);
    this.#key = [];
  }

  #structure(octet: number): void {
    switch (octet) {
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        const isArray = octet === OPEN_BRACKET;
        if (isArray && this.#isAt('attachments', 'content', 'data')) {
          this.#state = 'bytes';
          this.#bytes = new ByteList();
        }
        if (this.#depth < MAX_TRACKED) this.#levels[this.#depth] = { isArray, key: undefined };
        this.#depth++;
        this.#expectsKey = !isArray;
        break;
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        this.#depth = Math.max(0, this.#depth - 1);
        this.#expectsKey = false;
        break;
      case COMMA:
        this.#expectsKey = this.#depth <= MAX_TRACKED && this.#levels[this.#depth - 1]?.isArray === false;
        break;
      case COLON:
        this.#expectsKey = false;
        break;
    }
  }

  /** True where a value that begins here is `attachments[i].content`, or `.data` of that. */
  #isAt(list: string, member: string, inner?: string): boolean {
    const depth = inner === undefined ? 3 : 4;
    if (this.#depth !== depth) return false;
    const [root, items, item, content] = this.#levels;
    if (root?.isArray !== false || root.key !== list || items?.isArray !== true) return false;
    if (item?.isArray !== false || item.key !== member) return false;
    return inner === undefined || (content?.isArray === false && content.key === inner);
  }

  /** Takes base64 up to the closing quote. Returns where the rest begins. */
  #pushBase64(chunk: Uint8Array, start: number): number {
    let at = start;
    while (at < chunk.length) {
      const octet = chunk[at] ?? 0;
      if (this.#escape.length > 0) {
        this.#escape.push(octet);
        at++;
        const character = unescaped(this.#escape);
        if (character === 'incomplete') continue;
        const written = this.#escape;
        this.#escape = [];
        if (character === undefined) {
          this.#giveBack([...this.#text.subarray(0, this.#textBytes), ...written]);
          return at;
        }
        this.#text[this.#textBytes++] = character;
        if (this.#textBytes === this.#text.length && !this.#decode()) return at;
        continue;
      }
      if (octet === QUOTE) {
        this.#endBase64();
        return at;
      }
      if (octet === BACKSLASH) {
        this.#escape.push(octet);
        at++;
        continue;
      }
      const end = Math.min(endOfPlain(chunk, at), at + this.#text.length - this.#textBytes);
      this.#text.set(chunk.subarray(at, end), this.#textBytes);
      this.#textBytes += end - at;
      at = end;
      if (this.#textBytes === this.#text.length && !this.#decode()) return at;
    }
    return at;
  }

  /** False where it was no base64, and is given back. */
  #decode(): boolean {
    const text = this.#text.subarray(0, this.#textBytes);
    if (text.length === 0) return true;
    const bytes = this.#isPadded ? undefined : parseBase64Strict(text.toString('latin1'));
    if (!bytes) {
      this.#giveBack(text);
      return false;
    }
    this.#isPadded = text.at(-1) === 0x3d;
    this.#sink.write(bytes, 'base64');
    this.#textBytes = 0;
    return true;
  }

  #endBase64(): void {
    if (!this.#decode()) return;
    this.#isPadded = false;
    this.#keep(Buffer.from(this.markOf(this.#sink.endContent())));
    // The closing quote comes next and ends the string.
    this.#state = 'string';
  }

  /** What cannot be decoded follows the mark; so the whole is no mark, and no base64. */
  #giveBack(rest: ArrayLike<number>): void {
    this.#keep(Buffer.from(this.markOf(this.#sink.endContent())));
    this.#keep(Uint8Array.from(rest));
    this.#textBytes = 0;
    this.#isPadded = false;
    this.#isGivingBack = true;
    this.#state = 'string';
  }

  #pushBytes(chunk: Uint8Array, start: number): number {
    const { read, rest } = this.#bytes.push(chunk, start, this.#sink);
    if (rest !== undefined) this.#endBytes(rest);
    return read;
  }

  #endBytes(rest: Uint8Array): void {
    if (this.#bytes.count > 0) this.#keep(Buffer.from(`"${this.markOf(this.#sink.endContent())}"`));
    this.#keep(rest);
    this.#state = 'between';
    // In a list.
    this.#expectsKey = false;
  }
}

/** A loop, because a native search for one of the two is quadratic where there are many of the other. */
function endOfPlain(chunk: Uint8Array, start: number): number {
  let at = start;
  while (at < chunk.length && chunk[at] !== QUOTE && chunk[at] !== BACKSLASH) at++;
  return at;
}

/** The character of a whole escape, where it can be one of base64; undefined for any other. */
function unescaped(written: readonly number[]): number | 'incomplete' | undefined {
  const kind = written[1];
  if (kind === SLASH) return SLASH;
  if (kind !== LOWER_U) return undefined;
  if (written.length < 6) return 'incomplete';
  const digits = String.fromCharCode(...written.slice(2));
  const code = /^[0-9A-Fa-f]{4}$/.test(digits) ? Number.parseInt(digits, 16) : 0;
  return /^[A-Za-z0-9+/=]$/.test(String.fromCharCode(code)) ? code : undefined;
}

function keyOf(octets: readonly number[]): string | undefined {
  if (octets.length > MAX_KEY_BYTES) return undefined;
  try {
    const key: unknown = JSON.parse(`"${Buffer.from(octets).toString()}`);
    return typeof key === 'string' ? key : undefined;
  } catch {
    return undefined;
  }
}
