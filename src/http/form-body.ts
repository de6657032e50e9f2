/** The body of a small HTML form. What is not one, or is too large, has no fields. */
import type { AppContext } from './app-types.ts';

/** Enough for a choice about each topic that an account may have. */
const LIMIT_BYTES = 9000;

export async function readForm(c: AppContext): Promise<URLSearchParams> {
  const type = c.req.header('content-type') ?? '';
  if (!/^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type)) return new URLSearchParams();
  const declared = c.req.header('content-length');
  // Without a declared length nothing is read: a browser always tells it.
  if (declared === undefined || !/^\d{1,4}$/.test(declared) || Number(declared) > LIMIT_BYTES) {
    return new URLSearchParams();
  }
  return new URLSearchParams(new TextDecoder().decode(await c.req.arrayBuffer()));
}
