/** `node bench/profile.ts path|accept|broadcast`: where the Worker spends its CPU time, by function, while it is under that load. */
import { startBenchRelay } from './bench-relay.ts';
import { freePort } from './free-port.ts';
import { LoadClient } from './load-client.ts';
import { FROM, SUBJECT, TEXT_10_KB, TO } from './messages.ts';
import { importReaders } from './readers.ts';
import { startBenchServer } from './smtp-server.ts';

const BATCH = 100;
const WARM_UP_ROUNDS = 8;
const ROUNDS = 16;
const ACCEPT_MS = 4000;
const CONTACTS = 10_000;
const SHOWN = 45;

interface ProfileNode {
  readonly id: number;
  readonly children?: readonly number[];
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
}

class Inspector {
  readonly #socket: WebSocket;
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<Inspector> {
    const response = await fetch(`http://127.0.0.1:${port}/json`);
    const [target] = (await response.json()) as { webSocketDebuggerUrl: string }[];
    if (!target) throw new Error('workerd offers nothing to inspect');
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    return new Inspector(socket);
  }

  ask(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const onMessage = (event: MessageEvent) => {
        const message = JSON.parse(String(event.data)) as { id?: number; result?: unknown };
        if (message.id !== id) return;
        this.#socket.removeEventListener('message', onMessage);
        resolve(message.result);
      };
      this.#socket.addEventListener('message', onMessage);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close(): void {
    this.#socket.close();
  }
}

async function profileOf(port: number, work: () => Promise<unknown>): Promise<CpuProfile> {
  const inspector = await Inspector.open(port);
  await inspector.ask('Profiler.enable');
  await inspector.ask('Profiler.setSamplingInterval', { interval: 200 });
  await inspector.ask('Profiler.start');
  await work();
  const { profile } = (await inspector.ask('Profiler.stop')) as { profile: CpuProfile };
  inspector.close();
  return profile;
}

/** Functions by their own time and, with those they call, by all of it; what waits for work is left out of the sum. */
function print({ nodes, samples }: CpuProfile): void {
  const names = new Map(
    nodes.map(({ id, callFrame }) => [id, callFrame.functionName || `(line ${callFrame.lineNumber})`]),
  );
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const own = new Map<string, number>();
  const all = new Map<string, number>();
  let busy = 0;
  for (const sample of samples) {
    const name = names.get(sample) ?? '?';
    if (name === '(idle)') continue;
    busy++;
    own.set(name, (own.get(name) ?? 0) + 1);
    const stack = new Set<string>();
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id))
      stack.add(names.get(id) ?? '?');
    for (const caller of stack) all.set(caller, (all.get(caller) ?? 0) + 1);
  }
  console.log(`${busy} samples at work, ${samples.length - busy} idle`);
  for (const [title, counts] of [
    ['own time', own],
    ['with callees', all],
  ] as const) {
    console.log(`\n${title}`);
    for (const [name, count] of [...counts].sort(([, a], [, b]) => b - a).slice(0, SHOWN)) {
      console.log(`${((100 * count) / busy).toFixed(2).padStart(6)} %  ${name}`);
    }
  }
}

const mail = { from: FROM, to: TO, subject: SUBJECT, text: TEXT_10_KB };
const inspectorPort = await freePort();

async function profilePath(): Promise<CpuProfile> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const { relay, account } = await startBenchRelay({
    entry: '../src/worker.ts',
    port: server.port,
    inspectorPort,
  });
  const body = JSON.stringify(Array.from({ length: BATCH }, () => mail));
  let expected = 0;
  const send = async (rounds: number) => {
    for (let round = 0; round < rounds; round++) await account.client.post('/v1/emails/batch', body);
    expected += rounds * BATCH;
    await server.waitForMessages(expected);
  };
  await send(WARM_UP_ROUNDS);
  const profile = await profileOf(inspectorPort, () => send(ROUNDS));
  await relay.stop();
  await server.stop();
  return profile;
}

async function profileAccept(): Promise<CpuProfile> {
  const { relay, headers } = await startBenchRelay({
    entry: 'accept-worker.ts',
    port: await freePort(),
    settings: { RETRY_FIRST_MS: '3600000', RETRY_MAX_MS: '3600000' },
    inspectorPort,
  });
  const client = new LoadClient({
    url: relay.url,
    headers,
    connections: 32,
    path: '/v1/emails',
    body: JSON.stringify(mail),
  });
  await client.perSecond(ACCEPT_MS);
  const profile = await profileOf(inspectorPort, () => client.perSecond(ACCEPT_MS));
  await relay.stop();
  return profile;
}

async function profileBroadcast(): Promise<CpuProfile> {
  const server = await startBenchServer({ pipelining: true, oneWayDelayMs: 0 });
  const bench = await startBenchRelay({ entry: '../src/worker.ts', port: server.port, inspectorPort });
  const listId = await importReaders(bench, CONTACTS);
  const profile = await profileOf(inspectorPort, async () => {
    const html = `<p>Hello {{contact.first_name}}</p><p>${TEXT_10_KB}</p>`;
    await bench.account.client.post('/v1/broadcasts', {
      segment_id: listId,
      from: FROM,
      subject: SUBJECT,
      html,
      send: true,
    });
    await server.waitForMessages(CONTACTS);
  });
  await bench.relay.stop();
  await server.stop();
  return profile;
}

const profiles = { path: profilePath, accept: profileAccept, broadcast: profileBroadcast };
const wanted = process.argv[2] ?? '';
if (!Object.hasOwn(profiles, wanted)) throw new Error(`name one of ${Object.keys(profiles).join(', ')}`);
print(await profiles[wanted as keyof typeof profiles]());
