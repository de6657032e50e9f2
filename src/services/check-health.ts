import type { Env } from '../env.ts';
import { healthOutbox } from '../outbox/client.ts';
import { checkDatabase } from '../store/system/check-health.ts';

export interface Health {
  readonly database: 'ok' | 'failed';
  readonly outbox: 'ok' | 'failed';
}

/** Asks D1 and an object; never throws. */
export async function checkHealth(env: Env): Promise<Health> {
  const [database, outbox] = await Promise.allSettled([
    Promise.resolve().then(() => checkDatabase(env.DB)),
    Promise.resolve().then(() => healthOutbox(env).ping()),
  ]);
  return {
    database: database.status === 'fulfilled' ? 'ok' : 'failed',
    outbox: outbox.status === 'fulfilled' ? 'ok' : 'failed',
  };
}
