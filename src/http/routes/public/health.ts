import { Hono } from 'hono';
import { checkHealth } from '../../../services/check-health.ts';
import type { AppTypes } from '../../app-types.ts';

/** For a load balancer or a monitor: no key, and nothing in the answer but whether the parts work. */
export const healthRoutes = new Hono<AppTypes>().get('/', async (c) => {
  const health = await checkHealth(c.env);
  const ok = health.database === 'ok' && health.outbox === 'ok';
  return c.json({ status: ok ? 'ok' : 'failed', ...health }, ok ? 200 : 503);
});
