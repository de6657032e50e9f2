import { app } from './app.ts';
import type { Env } from './env.ts';
import { Outbox as BareOutbox } from './outbox/outbox.ts';
import { broadcastJobs } from './services/broadcast-jobs.ts';
import { importSlice } from './services/import-slice.ts';
import { sweepOutboxes } from './services/sweep-outboxes.ts';

export { RelayGate } from './relay-gate/relay-gate.ts';

export class Outbox extends BareOutbox {
  protected override get jobs() {
    return { importSlice, broadcasts: broadcastJobs };
  }
}

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
  scheduled: (_controller, env) => sweepOutboxes(env),
} satisfies ExportedHandler<Env>;
