/** Reads a JSON request body: the limit holds for the bytes really read, whatever Content-Length says. */
import type { Context, MiddlewareHandler } from 'hono';
import type * as z from 'zod';
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import type { AppTypes } from './app-types.ts';
import { type BodyHold, bodyBudget } from './body-budget.ts';
import { parseStrictJson } from './strict-json.ts';
import { validate } from './validation.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Enough for every resource but an email. */
const SMALL_BODY_LIMIT_BYTES = 64 * KIB;
/** From here on a body waits for its turn. */
const LARGE_BODY_BYTES = MIB;

/** The parsed body, not yet validated. Throws `AppError` with a fixed reason. */
export async function readJson(
  c: Context<AppTypes>,
  options: { readonly limitBytes: number },
): Promise<unknown> {
  const { limitBytes } = options;
  checkHeaders(c);
  const declaredBytes = declaredLength(c);
  if (declaredBytes > limitBytes) throw tooLarge(limitBytes);
  const hold = bodyBudget.open(settingsOf(c.env).ISOLATE_BODY_LIMIT_BYTES);
  // Held until the answer, because what was parsed lives as long.
  c.set('releaseBody', hold.release);
  const turn = new LargeTurn();
  try {
    if (declaredBytes > LARGE_BODY_BYTES) await turn.take();
    return parseStrictJson(await readText(c.req.raw.body, { limitBytes, hold, turn }));
  } finally {
    turn.end();
  }
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

class LargeTurn {
  #end: (() => void) | undefined;

  async take(): Promise<void> {
    this.#end ??= await bodyBudget.largeTurn();
  }

  end(): void {
    this.#end?.();
  }
}

async function readText(
  body: ReadableStream<Uint8Array> | null,
  options: { readonly limitBytes: number; readonly hold: BodyHold; readonly turn: LargeTurn },
): Promise<string> {
  if (!body) return '';
  const { limitBytes, hold, turn } = options;
  // `ignoreBOM` keeps a byte order mark in the text, where the parser refuses it.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const reader = body.getReader();
  let text = '';
  let readBytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      readBytes += value.byteLength;
      if (readBytes > limitBytes) throw tooLarge(limitBytes);
      hold.take(value.byteLength);
      text += decode(decoder, value);
      if (readBytes > LARGE_BODY_BYTES) await turn.take();
    }
    return text + decode(decoder);
  } catch (error) {
    // The rest stays unread. Not awaited: the client may be slow to notice.
    reader.cancel().catch(() => undefined);
    throw error;
  }
}

function decode(decoder: TextDecoder, piece?: Uint8Array): string {
  try {
    return piece ? decoder.decode(piece, { stream: true }) : decoder.decode();
  } catch {
    throw new AppError('invalid_json', { reason: 'it is not UTF-8' });
  }
}

function checkHeaders(c: Context<AppTypes>): void {
  const encoding = c.req.header('content-encoding')?.trim().toLowerCase();
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity') {
    throw new AppError('unsupported_content_encoding');
  }
  const type = c.req.header('content-type') ?? '';
  if (!/^\s*application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*$/i.test(type)) {
    throw new AppError('unsupported_content_type');
  }
}

function declaredLength(c: Context<AppTypes>): number {
  const text = c.req.header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

function tooLarge(limitBytes: number): AppError {
  const limit =
    limitBytes >= MIB ? `${Math.floor(limitBytes / MIB)} MiB` : `${Math.floor(limitBytes / KIB)} KiB`;
  return new AppError('body_too_large', { limit });
}
