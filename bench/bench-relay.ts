/** The real Worker under a bench entry, with an account whose limits are out of the way. */
import { join } from 'node:path';
import { openAccount, type TestAccount } from '../test/support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../test/support/relay-under-test.ts';

const UNLIMITED = {
  KEY_MESSAGES_PER_SECOND: '100000000',
  BACKLOG_LIMIT: '100000000',
  ISOLATE_BODY_LIMIT_BYTES: String(64 * 1024 * 1024),
};

export interface BenchRelay {
  readonly relay: RelayUnderTest;
  readonly account: TestAccount;
  readonly headers: Readonly<Record<string, string>>;
}

/** `port` is that of the upstream server. */
export async function startBenchRelay(options: {
  entry: string;
  port: number;
  settings?: Readonly<Record<string, string>>;
  inspectorPort?: number;
}): Promise<BenchRelay> {
  const { entry, port, settings, inspectorPort } = options;
  const relay = await startRelay({
    entry: join(import.meta.dirname, entry),
    settings: { ...UNLIMITED, ...settings },
    quiet: true,
    direct: true,
    onDisk: true,
    ...(inspectorPort === undefined ? {} : { inspectorPort }),
  });
  const account = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port } });
  return { relay, account, headers: { authorization: `Bearer ${account.client.token}` } };
}
