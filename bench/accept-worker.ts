/** The Worker as it is, and beside it in the same isolate an echo that does nothing but read and answer. */
import { Hono } from 'hono';
import { app } from '../src/app.ts';
import type { Env } from '../src/env.ts';

export { Outbox } from '../src/outbox/outbox.ts';
export { RelayGate } from '../src/relay-gate/relay-gate.ts';

const echo = new Hono().post('/echo', async (c) => c.text(await c.req.text()));

export default {
  fetch: (request, env, context) =>
    request.url.endsWith('/echo') ? echo.fetch(request, env, context) : app.fetch(request, env, context),
} satisfies ExportedHandler<Env>;
