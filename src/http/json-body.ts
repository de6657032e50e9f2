/** Reads a JSON request body: the limit holds for the bytes really read, whatever Content-Length says. */
import type { Context, MiddlewareHandler } from 'hono';
import type * as z from 'zod';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import type { AppTypes } from './app-types.ts';
import { type BodyHold, bodyBudget } from './body-budget.ts';
import { declaredLength, tooLarge } from './body-stream.ts';
import { parseStrictJson } from './strict-json.ts';
import { validate } from './validation.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Enough for every resource but an email. */
const SMALL_BODY_LIMIT_BYTES = 64 * KIB;
/** From here on a body waits for its turn. */
export const LARGE_BODY_BYTES = MIB;
const READ_BYTES = 64 * KIB;
/** `ignoreBOM` keeps a byte order mark in the text, where the parser refuses it. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The parsed body, not yet validated. Throws `AppError` with a fixed reason. */
export async function readJson(
  c: Context<AppTypes>,
  options: { readonly limitBytes: number; readonly declaredBytes?: number },
): Promise<unknown> {
  const { limitBytes, declaredBytes = declaredLength(c.req.header('content-length')) } = options;
  checkHeaders(c);
  if (declaredBytes > limitBytes) throw tooLarge(limitBytes);
  const hold = bodyBudget.open(settingsOf(c.env).ISOLATE_BODY_LIMIT_BYTES);
  const turn = new LargeTurn();
  // Both last until the answer: what is made of a body lives as long, and weighs as much again.
  c.set('releaseBody', () => {
    turn.end();
    hold.release();
  });
  if (declaredBytes > 0 && declaredBytes <= LARGE_BODY_BYTES) {
    hold.take(declaredBytes);
    return parseStrictJson(decode(await readSmall(c.req.raw, declaredBytes)));
  }
  if (declaredBytes > LARGE_BODY_BYTES) await turn.take();
  return parseStrictJson(
    await readText(c.req.raw.body, { limitBytes, expectedBytes: declaredBytes, hold, turn }),
  );
}

/** Middleware: the body read strictly and checked against a schema, for `c.req.valid('json')`. */
export function jsonBody<T>(
  schema: z.ZodType<T>,
  options: { readonly limitBytes?: number } = {},
): MiddlewareHandler<AppTypes, string, { in: { json: T }; out: { json: T } }> {
  const limitBytes = options.limitBytes ?? SMALL_BODY_LIMIT_BYTES;
  return async (c, next) => {
    const value = validate(schema, await readJson(c, { limitBytes }));
    c.req.addValidatedData('json', value as object);
    await next();
  };
}

/** The same where the body may be left away: that means an empty object. */
export function optionalJsonBody<T>(
  schema: z.ZodType<T>,
): MiddlewareHandler<AppTypes, string, { in: { json: T }; out: { json: T } }> {
  const read = jsonBody(schema);
  return async (c, next) => {
    const hasBody =
      declaredLength(c.req.header('content-length')) > 0 || c.req.header('transfer-encoding') !== undefined;
    if (hasBody) return read(c, next);
    c.req.addValidatedData('json', validate(schema, {}) as object);
    await next();
  };
}

export class LargeTurn {
  #end: (() => void) | undefined;

  async take(): Promise<void> {
    this.#end ??= await bodyBudget.largeTurn();
  }

  end(): void {
    this.#end?.();
  }
}

/** In one piece. HTTP ends a body at its declared length; that it did is checked all the same. */
async function readSmall(request: Request, declaredBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.byteLength > declaredBytes) throw tooLarge(declaredBytes);
  return bytes;
}

async function readText(
  body: ReadableStream<Uint8Array> | null,
  options: {
    readonly limitBytes: number;
    readonly expectedBytes: number;
    readonly hold: BodyHold;
    readonly turn: LargeTurn;
  },
): Promise<string> {
  if (!body) return '';
  const { limitBytes, expectedBytes, hold, turn } = options;
  const reader = body.getReader({ mode: 'byob' });
  // One buffer for the whole body and one to read into: pieces, as bytes or as text, would pile up.
  let whole = new ArrayBuffer(Math.max(expectedBytes, READ_BYTES));
  let piece = new Uint8Array(READ_BYTES);
  let readBytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read(piece);
      if (done || !value) break;
      hold.take(value.byteLength);
      if (readBytes + value.byteLength > limitBytes) throw tooLarge(limitBytes);
      if (readBytes + value.byteLength > whole.byteLength) whole = whole.transfer(2 * whole.byteLength);
      new Uint8Array(whole).set(value, readBytes);
      readBytes += value.byteLength;
      piece = new Uint8Array(value.buffer as ArrayBuffer);
      if (readBytes > LARGE_BODY_BYTES) await turn.take();
    }
    return decode(new Uint8Array(whole, 0, readBytes));
  } catch (error) {
    // The rest stays unread. Not awaited: the client may be slow to notice.
    reader.cancel().catch(() => undefined);
    throw error;
  } finally {
    whole.transfer(0);
  }
}

export function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new AppError('invalid_json', { reason: 'it is not UTF-8' });
  }
}

/** JSON in UTF-8, not compressed. */
export function checkHeaders(c: Context<AppTypes>): void {
  checkEncoding(c);
  const type = c.req.header('content-type') ?? '';
  if (!/^\s*application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*$/i.test(type)) {
    throw new AppError('unsupported_content_type', { type: 'application/json' });
  }
}

/** Of a body of any type. */
export function checkEncoding(c: Context<AppTypes>): void {
  const encoding = c.req.header('content-encoding')?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity') {
    throw new AppError('unsupported_content_encoding');
  }
}
