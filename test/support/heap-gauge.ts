/**
 * Measures the memory of the isolate through V8's inspector, as often as it answers: the JavaScript heap, what
 * array buffers hold outside of it, and what the runtime's own objects take.
 */
export interface HeapUsage {
  readonly usedSize: number;
  readonly backingStorageSize: number;
  readonly embedderHeapUsedSize: number;
}

export interface HeapGauge {
  readonly samples: number;
  readonly peak: HeapUsage & { readonly total: number };
  /** After a full collection: what is really held. */
  settled(): Promise<number>;
  stop(): void;
}

interface Target {
  readonly title?: string;
  readonly webSocketDebuggerUrl: string;
}

export async function startHeapGauge(inspectorPort: number, everyMs = 20): Promise<HeapGauge> {
  const connection = await connectInspector(inspectorPort);
  let samples = 0;
  let peak = { usedSize: 0, backingStorageSize: 0, embedderHeapUsedSize: 0, total: 0 };
  const sample = async (): Promise<number> => {
    const usage = (await connection.call('Runtime.getHeapUsage')) as Partial<HeapUsage>;
    const { usedSize = 0, backingStorageSize = 0, embedderHeapUsedSize = 0 } = usage;
    const total = usedSize + backingStorageSize + embedderHeapUsedSize;
    samples++;
    if (total > peak.total) peak = { usedSize, backingStorageSize, embedderHeapUsedSize, total };
    return total;
  };
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    sample()
      .catch(() => {})
      .finally(() => {
        busy = false;
      });
  }, everyMs);
  await sample();
  return {
    get samples() {
      return samples;
    },
    get peak() {
      return peak;
    },
    async settled() {
      await connection.call('HeapProfiler.collectGarbage');
      return sample();
    },
    stop() {
      clearInterval(timer);
      connection.close();
    },
  };
}

async function connectInspector(port: number) {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as Target[];
  const url = targets[0]?.webSocketDebuggerUrl;
  if (url === undefined) throw new Error('the inspector has no target');
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error('no inspector')));
  });
  const pending = new Map<number, (result: unknown) => void>();
  let lastId = 0;
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id === undefined) return;
    pending.get(id)?.(result ?? {});
    pending.delete(id);
  });
  return {
    call(method: string): Promise<unknown> {
      const id = ++lastId;
      return new Promise((resolve) => {
        pending.set(id, resolve);
        socket.send(JSON.stringify({ id, method }));
      });
    },
    close: () => socket.close(),
  };
}
