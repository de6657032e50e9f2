/**
 * Imports of contacts at their largest: within the memory of an isolate, exact over `kill -9`, and nothing of them in
 * clear in any file.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RelayServer, startRelayServer } from '../faults/relay-server.ts';
import { ApiClient, openAccount } from '../support/api-client.ts';
import { canary, filesBelow, findIn } from '../support/canary.ts';
import { freePort } from '../support/free-port.ts';
import { startHeapGauge } from '../support/heap-gauge.ts';
import { ADMIN_TOKEN, startRelay } from '../support/relay-under-test.ts';

const MB = 1_000_000;
const MIB = 1024 * 1024;
const FILE_BYTES = 90 * MIB;
const LINES = 20_000;
const KILLS = 4;

let server: RelayServer;

beforeAll(async () => {
  server = await startRelayServer({ settings: { WATCHDOG_MS: '300' }, env: {} });
});

afterAll(() => server.stop());

async function post(client: ApiClient, file: Blob, fields: Record<string, string> = {}) {
  const form = new FormData();
  form.append('file', file);
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  const headers = { authorization: `Bearer ${client.token}` };
  const response = await fetch(new URL('/v1/contacts/imports', client.url), {
    method: 'POST',
    headers,
    body: form,
  });
  return { status: response.status, body: (await response.json()) as { id: string } };
}

test('counts every line once over kills, and leaves nothing of it in clear', async () => {
  const words = { address: canary('address'), domain: `${canary('domain')}.example`, name: canary('name') };
  const account = await openAccount(server.url, ADMIN_TOKEN);
  // After a restart it is at another port.
  const now = () => new ApiClient(server.url, account.client.token);
  const rows = ['email,first_name'];
  for (let n = 0; n < LINES; n++) {
    // Each thousandth line is none of a contact, each hundredth is that of one who came just before.
    const who = n % 100 === 99 ? n - 1 : n;
    rows.push(
      n % 1000 === 500
        ? `${words.name},${words.name}`
        : `${words.address}${who}@${words.domain},${words.name}`,
    );
  }
  const { status, body } = await post(now(), new Blob([rows.join('\r\n')]), { on_conflict: 'upsert' });
  expect(status).toBe(201);
  const path = `/v1/contacts/imports/${body.id}`;
  const planted = [...Object.values(words)];
  let inTheMiddle = 0;
  for (let kill = 1; kill <= KILLS; kill++) {
    const wanted = (LINES * kill) / (2 * KILLS);
    const seen = await now().until(path, ({ counts }) => counts.total >= wanted, 60_000);
    if (seen.status === 'in_progress') inTheMiddle++;
    await server.kill();
    const files = await filesBelow(server.stateFolder);
    expect(findIn(files, body.id)).not.toEqual([]);
    for (const word of planted) expect(findIn(files, word)).toEqual([]);
    await server.start();
  }
  expect(inTheMiddle).toBeGreaterThan(1);
  const done = await now().until(path, ({ status }) => status === 'completed', 60_000);
  const failed = LINES / 1000;
  const updated = LINES / 100;
  expect(done.counts).toEqual({
    total: LINES,
    created: LINES - failed - updated,
    updated,
    skipped: 0,
    failed,
  });
  const headers = { authorization: `Bearer ${account.client.token}` };
  const text = await (
    await fetch(new URL('/v1/contacts/export?format=jsonl', server.url), { headers })
  ).text();
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.pop()).toEqual({ object: 'export_end', count: LINES - failed - updated });
  const emails = new Set(lines.map(({ email }) => email));
  expect(emails.size).toBe(LINES - failed - updated);
  expect(lines.every(({ first_name }) => first_name === words.name)).toBe(true);
  const refused = await (await fetch(new URL(`${path}/errors`, server.url), { headers })).text();
  const numbers = refused
    .trim()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).line);
  expect(numbers).toEqual(Array.from({ length: failed }, (_, n) => n * 1000 + 502));
  await server.kill();
  const files = await filesBelow(server.stateFolder);
  for (const word of planted) expect(findIn(files, word)).toEqual([]);
  await server.start();
});

test('takes a file of 90 MiB within the memory of an isolate, and not one byte more', async () => {
  const inspectorPort = await freePort();
  const relay = await startRelay({ inspectorPort, quiet: true });
  const { client } = await openAccount(relay.url, ADMIN_TOKEN);
  const gauge = await startHeapGauge(inspectorPort);
  try {
    const note = 'x'.repeat(60_000);
    const rows = ['email,note'];
    let sizeBytes = 11;
    for (let n = 0; sizeBytes < FILE_BYTES - 70_000; n++) {
      const row = `large${n}@example.com,${note}`;
      rows.push(row);
      sizeBytes += row.length + 1;
    }
    rows.push(`last@example.com,${'x'.repeat(FILE_BYTES - sizeBytes - 17)}`);
    const file = new Blob([rows.join('\n')]);
    expect(file.size).toBe(FILE_BYTES);
    const { status, body } = await post(client, file);
    expect([status, body]).toEqual([201, body]);
    const done = await client.until(
      `/v1/contacts/imports/${body.id}`,
      (found) => found.status === 'completed',
      120_000,
    );
    const { peak, samples } = gauge;
    console.log(`90 MiB: ${(peak.total / MB).toFixed(1)} MB at most, ${samples} samples`);
    const total = rows.length - 1;
    expect(done.counts).toEqual({ total, created: total, updated: 0, skipped: 0, failed: 0 });
    expect(peak.total).toBeLessThan(100 * MB);
    // Refused by its length: who goes on sending may lose the connection before the answer is read.
    const tooLarge = post(client, new Blob([file, 'x'])).then(
      ({ status }) => status,
      () => 'closed',
    );
    expect([413, 'closed']).toContain(await tooLarge);
    expect((await client.get('/v1/contacts/imports')).body.data).toHaveLength(1);
  } finally {
    gauge.stop();
    await relay.stop();
  }
});
