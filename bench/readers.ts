/** A list with readers on it, from a file as a customer would import it. */
import type { BenchRelay } from './bench-relay.ts';

const IMPORTED_WITHIN_MS = 120_000;

/** The id of the list. */
export async function importReaders({ account, relay, headers }: BenchRelay, count: number): Promise<string> {
  const { client } = account;
  const { body: list } = await client.post('/v1/lists', { name: 'Everybody' });
  const form = new FormData();
  const lines = Array.from({ length: count }, (_, n) => `reader${n}@example.net,Reader ${n}`);
  form.append('file', new Blob([['email,first_name', ...lines].join('\n')]));
  form.append('segments', JSON.stringify([{ id: list.id }]));
  const imports = new URL('/v1/contacts/imports', relay.url);
  const answer = await fetch(imports, { method: 'POST', headers, body: form });
  const { id } = (await answer.json()) as { id: string };
  const path = `/v1/contacts/imports/${id}`;
  await client.until(path, ({ status }) => status === 'completed', IMPORTED_WITHIN_MS);
  return list.id;
}
