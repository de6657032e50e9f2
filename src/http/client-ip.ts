import type { Context } from 'hono';
import type { AppTypes } from './app-types.ts';

/**
 * The address of the client, as the platform tells it: on Cloudflare nobody else can set this header. A server on
 * one's own machine believes whoever calls it.
 */
export function clientIpOf(c: Context<AppTypes>): string | undefined {
  return c.req.header('cf-connecting-ip');
}
