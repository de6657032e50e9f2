/**
 * Global set-up of the `workers` project: a resolver on the loopback that answers DNS over HTTPS in JSON, from a zone
 * that tests write to with PUT. A name that is not in it does not exist.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestProject } from 'vitest/node';

export interface ZoneEntry {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly CNAME?: string;
  /** Of DNS: 2 is SERVFAIL. */
  readonly Status?: number;
  /** In place of an answer of DNS. */
  readonly raw?: { readonly status?: number; readonly type?: string; readonly body?: string };
  /** Never answers. */
  readonly isSilent?: true;
}

export type Zone = Readonly<Record<string, ZoneEntry>>;

const TYPES = { A: 1, CNAME: 5, AAAA: 28 } as const;

export default async function startDohServer(project: TestProject): Promise<() => Promise<void>> {
  const zone = new Map<string, ZoneEntry>();
  const server = createServer(async (request, response) => {
    if (request.method === 'PUT') {
      for (const [name, entry] of Object.entries(JSON.parse(await text(request)))) {
        zone.set(name, entry as ZoneEntry);
      }
      response.end();
      return;
    }
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const isAsked = pathname === '/dns-query' && request.headers.accept === 'application/dns-json';
    const type = searchParams.get('type');
    if (!isAsked || (type !== 'A' && type !== 'AAAA')) return void response.writeHead(400).end();
    answer(zone, { name: searchParams.get('name') ?? '', type }, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  project.provide('dohPort', (server.address() as AddressInfo).port);
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
}

function answer(
  zone: ReadonlyMap<string, ZoneEntry>,
  { name, type }: { readonly name: string; readonly type: 'A' | 'AAAA' },
  response: ServerResponse,
): void {
  const first = zone.get(name);
  if (first?.isSilent) return;
  const { status = 200, type: contentType = 'application/dns-json', body } = first?.raw ?? {};
  const records: unknown[] = [];
  let [owner, entry] = [name, first];
  // As many as there are: a chain that goes round is for the one who asks to notice.
  for (let hops = 0; entry?.CNAME !== undefined && hops < 20; hops++) {
    records.push({ name: owner, type: TYPES.CNAME, TTL: 60, data: `${entry.CNAME}.` });
    [owner, entry] = [entry.CNAME, zone.get(entry.CNAME)];
  }
  for (const data of entry?.[type] ?? []) records.push({ name: owner, type: TYPES[type], TTL: 60, data });
  const whole = {
    Status: first?.Status ?? (entry ? 0 : 3),
    ...{ TC: false, RD: true, RA: true, AD: false, CD: false },
    Question: [{ name, type: TYPES[type] }],
    ...(records.length > 0 && { Answer: records }),
  };
  response.writeHead(status, { 'content-type': contentType }).end(body ?? JSON.stringify(whole));
}
