/**
 * The body of a request that sends one email. A small one is read whole; from a large one the attachments are
 * lifted and staged on the ledger while it is read, so that no request holds more than a few pieces of them.
 */
import type { Context } from 'hono';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { openUpload, type Upload } from '../services/upload.ts';
import { type AppTypes, serviceContextOf } from './app-types.ts';
import { type BodyHold, bodyBudget } from './body-budget.ts';
import { declaredLength, piecesOf, tooLarge } from './body-stream.ts';
import { ContentLifter, type ContentSink } from './content-lifter.ts';
import { checkHeaders, decode, LARGE_BODY_BYTES, LargeTurn, readJson } from './json-body.ts';
import { parseStrictJson } from './strict-json.ts';

const MIB = 1024 * 1024;
/** An attachment as a list of bytes takes four characters a byte. */
const MAX_BUFFER_BYTES = 5 * MIB;
const FIRST_KEPT_BYTES = 64 * 1024;

/** Calls `use` with the parsed body, in which the contents of attachments may be `Content`. */
export async function withEmailBody<T>(c: Context<AppTypes>, use: (body: unknown) => Promise<T>): Promise<T> {
  const settings = settingsOf(c.env);
  const keptLimit = settings.REQUEST_BODY_LIMIT_BYTES;
  // Base64 with line breaks or escapes is longer than four thirds.
  const limitBytes = keptLimit + 2 * settings.MESSAGE_LIMIT_BYTES;
  const declaredBytes = declaredLength(c.req.header('content-length'));
  if (declaredBytes > 0 && declaredBytes <= LARGE_BODY_BYTES) {
    return use(await readJson(c, { limitBytes: keptLimit, declaredBytes }));
  }
  checkHeaders(c);
  if (declaredBytes > limitBytes) throw tooLarge(limitBytes);
  const hold = bodyBudget.open(settings.ISOLATE_BODY_LIMIT_BYTES);
  const turn = new LargeTurn();
  c.set('releaseBody', () => {
    turn.end();
    hold.release();
  });
  const upload = await openUpload(serviceContextOf(c));
  try {
    const sink = sinkOf(upload, hold, settings.MESSAGE_LIMIT_BYTES);
    const kept = new KeptBytes(keptLimit, hold);
    const lifter = new ContentLifter(sink, newMark(), (bytes) => {
      if (!kept.fits(bytes)) throw lifter.isGivingBack ? notBase64() : tooLarge(keptLimit);
      kept.append(bytes);
    });
    for await (const piece of piecesOf(c.req.raw.body, limitBytes)) {
      lifter.push(piece);
      await upload.drain();
      if (kept.length > LARGE_BODY_BYTES) await turn.take();
    }
    lifter.end();
    await upload.finish();
    const body = parseStrictJson(kept.take());
    putBack(body, (mark) => contentOf(mark, lifter, upload));
    return await use(body);
  } finally {
    await upload.discard();
  }
}

/** What of the document is kept: one buffer, because pieces, as bytes or as text, would pile up. */
class KeptBytes {
  length = 0;
  #bytes = new ArrayBuffer(FIRST_KEPT_BYTES);
  readonly #limitBytes: number;
  readonly #hold: BodyHold;

  constructor(limitBytes: number, hold: BodyHold) {
    this.#limitBytes = limitBytes;
    this.#hold = hold;
  }

  fits(bytes: Uint8Array): boolean {
    return this.length + bytes.byteLength <= this.#limitBytes;
  }

  append(bytes: Uint8Array): void {
    this.#hold.take(bytes.byteLength);
    const length = this.length + bytes.byteLength;
    if (length > this.#bytes.byteLength) {
      this.#bytes = this.#bytes.transfer(Math.max(length, 2 * this.#bytes.byteLength));
    }
    new Uint8Array(this.#bytes).set(bytes, this.length);
    this.length = length;
  }

  take(): string {
    try {
      return decode(new Uint8Array(this.#bytes, 0, this.length));
    } finally {
      this.#bytes = this.#bytes.transfer(0);
    }
  }
}

/** Counts what is decoded, and what is held of it: a piece, and while it is staged two copies of one. */
function sinkOf(upload: Upload, hold: BodyHold, limitBytes: number): ContentSink {
  let bytesForm = 0;
  let heldPieces = 0;
  return {
    write(bytes, form) {
      if (upload.sizeBytes + bytes.byteLength > limitBytes) {
        const reason = `more than ${Math.floor(limitBytes / MIB)} MiB together, decoded`;
        throw new AppError('invalid_attachment', { field: 'attachments', reason });
      }
      if (form === 'bytes') bytesForm += bytes.byteLength;
      if (bytesForm > MAX_BUFFER_BYTES) {
        const reason = 'a Buffer of more than 5 MiB; send base64';
        throw new AppError('invalid_attachment', { field: 'attachments', reason });
      }
      const needed = upload.sizeBytes + bytes.byteLength < MIB ? 1 : 3;
      if (heldPieces < needed) hold.take((needed - heldPieces) * MIB);
      heldPieces = Math.max(heldPieces, needed);
      upload.write(bytes);
    },
    endContent: () => upload.endContent(),
  };
}

/** Nobody who writes a document can know it, and it is no base64. */
function newMark(): string {
  return `#${Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex')}`;
}

function contentOf(text: string, lifter: ContentLifter, upload: Upload): unknown {
  const number = /:(\d{1,9});$/.exec(text)?.[1];
  return number !== undefined && text === lifter.markOf(Number(number))
    ? upload.contentOf(Number(number))
    : undefined;
}

/** Puts contents where their marks are. */
function putBack(body: unknown, contentAt: (mark: string) => unknown): void {
  const attachments = memberOf(body, 'attachments');
  if (!Array.isArray(attachments)) return;
  for (const attachment of attachments) {
    const content = memberOf(attachment, 'content');
    const isBuffer = memberOf(content, 'type') === 'Buffer';
    const data = isBuffer ? memberOf(content, 'data') : undefined;
    const mark = Array.isArray(data) && data.length === 1 ? data[0] : content;
    const found = typeof mark === 'string' ? contentAt(mark) : undefined;
    if (found !== undefined) attachment.content = found;
  }
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

function notBase64(): AppError {
  return new AppError('invalid_attachment', {
    field: 'attachments[].content',
    reason: 'is not valid base64',
  });
}
