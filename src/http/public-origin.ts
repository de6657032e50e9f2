import type { Context } from 'hono';
import { settingsOf } from '../env.ts';
import type { AppTypes } from './app-types.ts';

/** For links in mail. The platform hands over only requests for host names that were given to this Worker. */
export function publicOriginOf(c: Context<AppTypes>): string {
  return settingsOf(c.env).PUBLIC_URL ?? new URL(c.req.url).origin;
}
