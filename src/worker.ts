import { app } from './app.ts';
import type { Env } from './env.ts';
import { sweepOutboxes } from './services/sweep-outboxes.ts';

export { Outbox } from './outbox/outbox.ts';
export { RelayGate } from './relay-gate/relay-gate.ts';

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
  scheduled: (_controller, env) => sweepOutboxes(env),
} satisfies ExportedHandler<Env>;
