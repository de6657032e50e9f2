/** Imports of contacts through the API, as the SDK sends them. */
import { expect, vi } from 'vitest';
import { call, type JsonObject, jsonOf, send, type TestAccount, textAt } from './control-plane.ts';

export function postImport(
  account: TestAccount,
  file: string | Uint8Array | Blob,
  fields: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const form = new FormData();
  form.append('file', new Blob([file], { type: 'text/csv' }));
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return send(
    new Request('https://relay.test/v1/contacts/imports', {
      method: 'POST',
      headers: { authorization: `Bearer ${account.key}` },
      body: form,
    }),
  );
}

export async function importOf(
  account: TestAccount,
  file: string | Uint8Array | Blob,
  fields: Readonly<Record<string, string>> = {},
): Promise<string> {
  const response = await postImport(account, file, fields);
  const body = await jsonOf(response);
  expect([response.status, body]).toEqual([201, body]);
  return textAt(body, 'id');
}

/** Once it is over. */
export async function importedBy(account: TestAccount, id: string): Promise<JsonObject> {
  return vi.waitFor(
    async () => {
      const body = await jsonOf(await call(`/v1/contacts/imports/${id}`, { key: account.key }));
      expect(body.status).toBe('completed');
      return body;
    },
    { timeout: 20_000, interval: 20 },
  );
}
