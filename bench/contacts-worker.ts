/** The Worker as it is, with a way to fill an account with contacts and to read what a broadcast reads. */
import { app } from '../src/app.ts';
import type { Env } from '../src/env.ts';
import { contactInputOf } from '../src/services/contact-input.ts';
import { listRecipients } from '../src/services/contact-pages.ts';
import { filterableIds, loadProperties } from '../src/services/contact-properties.ts';
import { operatorContext } from '../src/services/service-context.ts';
import { MAX_UPSERT, upsertContacts } from '../src/services/upsert-contacts.ts';

export { Outbox } from '../src/outbox/outbox.ts';
export { RelayGate } from '../src/relay-gate/relay-gate.ts';

/** Contacts by number: which of them are rare, and which are not. */
export interface ContactFilling {
  readonly from: number;
  readonly to: number;
  /** Every so many have the rare plan. */
  readonly rareEvery: number;
  readonly listId: string;
}

export interface Filled {
  readonly rowsWritten: number;
  readonly databaseBytes: number;
}

/** What D1 says about the batches of one request. */
function counted(db: D1Database, filled: { rowsWritten: number; databaseBytes: number }): D1Database {
  return new Proxy(db, {
    get(target, name) {
      if (name !== 'batch') {
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return async (statements: D1PreparedStatement[]) => {
        const results = await target.batch(statements);
        for (const { meta } of results) {
          filled.rowsWritten += meta.rows_written;
          filled.databaseBytes = Math.max(filled.databaseBytes, meta.size_after);
        }
        return results;
      };
    },
  });
}

async function fill(env: Env, accountId: string, filling: ContactFilling): Promise<Filled> {
  const filled = { rowsWritten: 0, databaseBytes: 0 };
  const context = operatorContext({ ...env, DB: counted(env.DB, filled) }, accountId, 'req_bench');
  const properties = await loadProperties(context);
  const { from, to, rareEvery, listId } = filling;
  for (let start = from; start < to; start += MAX_UPSERT) {
    const inputs = Array.from({ length: Math.min(MAX_UPSERT, to - start) }, (_, index) => {
      const number = start + index;
      const plan = number % rareEvery === 0 ? 'rare' : `plan${number % 10}`;
      return contactInputOf(properties, {
        email: `person${number}@domain${number % 1000}.example`,
        firstName: `First${number % 5000}`,
        lastName: `Last${number % 20_000}`,
        properties: { plan, city: `City ${number % 300}` },
      });
    });
    await upsertContacts(context, inputs, {
      onConflict: 'upsert',
      lists: [{ id: listId, status: 'confirmed' }],
      filterable: filterableIds(properties),
    });
  }
  return filled;
}

/** `/bench/fill` and `/bench/recipients`; everything else is the real API. */
export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const url = new URL(request.url);
    const accountId = url.searchParams.get('account') ?? '';
    if (url.pathname === '/bench/fill') {
      return Response.json(await fill(env, accountId, await request.json()));
    }
    if (url.pathname === '/bench/recipients') {
      const bench = operatorContext(env, accountId, 'req_bench');
      const page = await listRecipients(bench, {
        listId: url.searchParams.get('list') ?? '',
        topicId: url.searchParams.get('topic') ?? undefined,
        cursor: url.searchParams.get('cursor') ?? undefined,
        limit: 100,
      });
      return Response.json(page);
    }
    return app.fetch(request, env, context);
  },
};
