/**
 * A `multipart/form-data` body as it comes: the one file of it is handed on in pieces, the other fields are small.
 */
import * as multipasta from 'multipasta';
import { AppError } from '../errors.ts';
import type { AppContext } from './app-types.ts';
import { piecesOf, tooLarge } from './body-stream.ts';
import { checkEncoding } from './json-body.ts';

const MAX_PARTS = 20;
const MAX_FIELD_BYTES = 64 * 1024;
/** For everything around the file. */
const REST_BYTES = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** More than a boundary has. */
const KEPT_BACK = 512;
/** `ignoreBOM` keeps a byte order mark in the text, where the parser of JSON refuses it. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export interface FormLimits {
  /** The name of the file's field. */
  readonly file: string;
  readonly fields: readonly string[];
  readonly fileBytes: number;
}

/** The texts of the other fields, by name. `onFile` is awaited before more is read. */
export async function readMultipart(
  c: AppContext,
  limits: FormLimits,
  onFile: (bytes: Uint8Array) => Promise<void>,
): Promise<ReadonlyMap<string, string>> {
  const contentType = checkRequest(c);
  const form = new Form(contentType, limits);
  for await (const chunk of chunksOf(piecesOf(c.req.raw.body, limits.fileBytes + REST_BYTES))) {
    form.write(chunk);
    for (const bytes of form.takeFile()) await onFile(bytes);
  }
  return form.end();
}

function checkRequest(c: AppContext): string {
  checkEncoding(c);
  const contentType = c.req.header('content-type') ?? '';
  if (!/^\s*multipart\/form-data\s*;/i.test(contentType)) {
    throw new AppError('unsupported_content_type', { type: 'multipart/form-data' });
  }
  return contentType;
}

class Form {
  readonly #parser: multipasta.Parser;
  readonly #limits: FormLimits;
  readonly #seen = new Set<string>();
  readonly #texts = new Map<string, string>();
  #file: Uint8Array[] = [];
  #fileBytes = 0;
  #isOver = false;

  constructor(contentType: string, limits: FormLimits) {
    this.#limits = limits;
    this.#parser = multipasta.make({
      headers: { 'content-type': contentType },
      maxParts: MAX_PARTS,
      // As they come, all of them: the parser would keep views of a chunk that is written over.
      isFile: () => true,
      onFile: ({ name }) => this.#open(name),
      onField: () => undefined,
      onError: () => {
        throw malformed();
      },
      onDone: () => {
        this.#isOver = true;
      },
    });
  }

  write(chunk: Uint8Array): void {
    this.#parser.write(chunk);
  }

  /** What came of the file since the last call; good until the next chunk is written. */
  takeFile(): readonly Uint8Array[] {
    const file = this.#file;
    this.#file = [];
    return file;
  }

  end(): ReadonlyMap<string, string> {
    this.#parser.end();
    if (!this.#isOver) throw malformed();
    if (!this.#seen.has(this.#limits.file)) throw new AppError('missing_field', { field: this.#limits.file });
    return this.#texts;
  }

  #open(name: string): (chunk: Uint8Array | null) => void {
    const { file, fields } = this.#limits;
    if (name !== file && !fields.includes(name)) {
      throw new AppError('unknown_field', { field: name.slice(0, 60) });
    }
    if (this.#seen.has(name)) throw new AppError('invalid_field', { field: name, reason: 'is given twice' });
    this.#seen.add(name);
    return name === file ? (chunk) => this.#addToFile(chunk) : this.#textField(name);
  }

  #addToFile(chunk: Uint8Array | null): void {
    if (!chunk) return;
    this.#fileBytes += chunk.byteLength;
    if (this.#fileBytes > this.#limits.fileBytes) throw tooLarge(this.#limits.fileBytes);
    this.#file.push(chunk);
  }

  #textField(name: string): (chunk: Uint8Array | null) => void {
    let bytes = new Uint8Array();
    return (chunk) => {
      if (!chunk) {
        this.#texts.set(name, textOf(name, bytes));
        return;
      }
      const whole = new Uint8Array(bytes.byteLength + chunk.byteLength);
      if (whole.byteLength > MAX_FIELD_BYTES) {
        const reason = `must have at most ${MAX_FIELD_BYTES / 1024} KiB`;
        throw new AppError('invalid_field', { field: name, reason });
      }
      whole.set(bytes);
      whole.set(chunk, bytes.byteLength);
      bytes = whole;
    };
  }
}

/**
 * Chunks of a size, in two buffers in turn: the parser may look back at the one before. The end is kept back, so that
 * it comes in one chunk: the parser does not know a closing boundary that is cut between its last two dashes.
 */
async function* chunksOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let [buffer, other] = [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)];
  let length = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; ) {
      const part = piece.subarray(at, at + CHUNK_BYTES - length);
      buffer.set(part, length);
      length += part.byteLength;
      at += part.byteLength;
      if (length < CHUNK_BYTES) continue;
      const full = buffer;
      other.set(full.subarray(CHUNK_BYTES - KEPT_BACK));
      length = KEPT_BACK;
      [buffer, other] = [other, buffer];
      yield full.subarray(0, CHUNK_BYTES - KEPT_BACK);
    }
  }
  yield buffer.subarray(0, length);
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new AppError('invalid_field', { field: name, reason: 'is not UTF-8' });
  }
}

function malformed(): AppError {
  return new AppError('invalid_field', { field: 'body', reason: 'is not well-formed multipart/form-data' });
}
