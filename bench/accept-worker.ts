/**
 * The Worker as it is, and beside it in the same isolate an echo that does nothing but read and answer, and a relay
 * that does nothing but keep: what a message costs before any of our own code runs.
 */
import { Hono } from 'hono';
import { app } from '../src/app.ts';
import type { Env } from '../src/env.ts';
import { Crowd } from '../src/outbox/gathering.ts';
import { GroupCommit } from '../src/outbox/group-commit.ts';
import { Outbox as RealOutbox } from '../src/outbox/outbox.ts';

export { RelayGate } from '../src/relay-gate/relay-gate.ts';

interface Kept {
  readonly id: string;
  readonly summary: Uint8Array;
  readonly content: Uint8Array;
}

export class Outbox extends RealOutbox {
  private bareQueue: GroupCommit<Kept, string> | undefined;

  /** A row and its content, on disk before it is answered; those that come together share the commit, as ours do. */
  keepBare(kept: Kept): Promise<string> {
    const { sql } = this.ctx.storage;
    if (!this.bareQueue) {
      sql.exec(`CREATE TABLE IF NOT EXISTS bare (id TEXT PRIMARY KEY, summary BLOB NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE IF NOT EXISTS bare_contents (number INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT`);
    }
    this.bareQueue ??= new GroupCommit(
      ({ id, summary, content }) =>
        this.ctx.storage.transactionSync(() => {
          sql.exec('INSERT INTO bare VALUES (?, ?)', id, summary);
          sql.exec('INSERT INTO bare_contents (content) VALUES (?)', content);
          return id;
        }),
      () => this.ctx.storage.sync(),
      new Crowd(),
    );
    return this.bareQueue.submit(kept);
  }
}

interface BenchEnv extends Omit<Env, 'OUTBOX'> {
  readonly OUTBOX: DurableObjectNamespace<Outbox>;
}

const encoder = new TextEncoder();
let count = 0;

const beside = new Hono<{ Bindings: BenchEnv }>()
  .post('/echo', async (c) => c.text(await c.req.text()))
  .post('/bare', async (c) => {
    const { text, ...summary } = await c.req.json();
    const kept = {
      id: `bare_${String(count++).padStart(12, '0')}`,
      summary: encoder.encode(JSON.stringify(summary)),
      content: encoder.encode(text),
    };
    return c.json({ id: await c.env.OUTBOX.getByName('bare').keepBare(kept) });
  });

export default {
  fetch: (request, env, context) =>
    /\/(?:echo|bare)$/.test(request.url)
      ? beside.fetch(request, env as unknown as BenchEnv, context)
      : app.fetch(request, env, context),
} satisfies ExportedHandler<Env>;
