/** The demo account with its domain and relay, remembered between starts and repaired where it no longer fits. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { call, describeRefusal, expectSuccess, listAt, textAt, valueAt } from './api-client.ts';

const OWNER_ONLY = 0o600;
const DELIVER_WITHIN_MS = 60_000;
const POLL_MS = 100;
const TERMINAL = ['delivered', 'failed', 'expired', 'suppressed', 'canceled'];

export const DEMO_DOMAIN = 'demo.example';
export const DEMO_SENDER = `Demo <hello@${DEMO_DOMAIN}>`;
export const DEMO_RECIPIENT = 'you@example.com';

export interface Demo {
  readonly accountId: string;
  readonly apiKey: string;
  readonly relayId: string;
}

export interface DemoOptions {
  /** `http://127.0.0.1:8787/v1` */
  readonly baseUrl: string;
  readonly adminToken: string;
  readonly smtpPort: number;
  readonly path: string;
}

/** Uses what the file remembers as far as the server still knows it, and makes the rest. */
export async function prepareDemo(options: DemoOptions): Promise<Demo> {
  const { baseUrl, adminToken, path } = options;
  const known = readDemo(path);
  const account =
    (known && (await isValidKey(baseUrl, known.apiKey)) ? known : undefined) ??
    (await createAccount(options));
  // Repeating it does no harm, and repairs a domain that was removed.
  await expectSuccess(`${baseUrl}/admin/accounts/${account.accountId}/domains/${DEMO_DOMAIN}`, {
    method: 'PUT',
    bearer: adminToken,
    body: {},
  });
  const relayId = await prepareRelay(options, account.apiKey, account === known ? known.relayId : undefined);
  const demo = { accountId: account.accountId, apiKey: account.apiKey, relayId };
  writeFileSync(path, `${JSON.stringify(demo, null, 2)}\n`, { mode: OWNER_ONLY });
  chmodSync(path, OWNER_ONLY);
  return demo;
}

function readDemo(path: string): Demo | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const stored: unknown = JSON.parse(readFileSync(path, 'utf8'));
    const accountId = textAt(stored, 'accountId');
    const apiKey = textAt(stored, 'apiKey');
    const relayId = textAt(stored, 'relayId');
    return accountId && apiKey && relayId ? { accountId, apiKey, relayId } : undefined;
  } catch {
    return undefined;
  }
}

async function isValidKey(baseUrl: string, apiKey: string): Promise<boolean> {
  const url = `${baseUrl}/relays`;
  const answer = await call(url, { bearer: apiKey });
  if (answer.status === 401 || answer.status === 403) return false;
  if (answer.status === 200) return true;
  throw new Error(describeRefusal(url, 'GET', answer));
}

async function createAccount(options: DemoOptions): Promise<{ accountId: string; apiKey: string }> {
  const { baseUrl, adminToken } = options;
  const account = await expectSuccess(`${baseUrl}/admin/accounts`, {
    method: 'POST',
    bearer: adminToken,
    body: { name: 'Demo' },
  });
  return { accountId: required(account, 'id'), apiKey: required(account, 'api_key', 'token') };
}

async function prepareRelay(
  options: DemoOptions,
  apiKey: string,
  knownId: string | undefined,
): Promise<string> {
  const { baseUrl, smtpPort } = options;
  const place = { host: '127.0.0.1', port: smtpPort, tls: 'none' };
  if (knownId !== undefined) {
    const url = `${baseUrl}/relays/${knownId}`;
    const answer = await call(url, { bearer: apiKey });
    if (answer.status === 200) {
      const fits = valueAt(answer.body, 'port') === smtpPort && valueAt(answer.body, 'host') === place.host;
      if (!fits) await expectSuccess(url, { method: 'PATCH', bearer: apiKey, body: place });
      return knownId;
    }
    if (answer.status !== 404) throw new Error(describeRefusal(url, 'GET', answer));
  }
  const body = { name: 'Local inbox', ...place };
  return required(await expectSuccess(`${baseUrl}/relays`, { method: 'POST', bearer: apiKey, body }), 'id');
}

export function demoMessage(): Record<string, string> {
  return {
    from: DEMO_SENDER,
    to: DEMO_RECIPIENT,
    subject: 'It works',
    text: 'This message went through the API, the ledger and SMTP.',
    html: '<p>This message went through the <b>API</b>, the <b>ledger</b> and <b>SMTP</b>.</p>',
  };
}

/** Sends one message and waits for its end. Resolves with what the API says about it. */
export async function sendAndFollow(
  baseUrl: string,
  apiKey: string,
): Promise<{ id: string; email: unknown }> {
  const sent = await expectSuccess(`${baseUrl}/emails`, {
    method: 'POST',
    bearer: apiKey,
    body: demoMessage(),
  });
  const id = required(sent, 'id');
  let email: unknown;
  for (const start = Date.now(); Date.now() - start < DELIVER_WITHIN_MS; ) {
    email = await expectSuccess(`${baseUrl}/emails/${id}`, { bearer: apiKey });
    const statuses = statusesOf(email);
    if (statuses.length > 0 && statuses.every((status) => TERMINAL.includes(status))) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return { id, email };
}

export function isDelivered(email: unknown): boolean {
  const statuses = statusesOf(email);
  return statuses.length > 0 && statuses.every((status) => status === 'delivered');
}

function statusesOf(email: unknown): readonly string[] {
  return listAt(email, 'deliveries').map((delivery) => textAt(delivery, 'status') ?? '');
}

function required(value: unknown, ...path: readonly string[]): string {
  const text = textAt(value, ...path);
  if (text === undefined) throw new Error(`The server's answer has no \`${path.join('.')}\``);
  return text;
}
