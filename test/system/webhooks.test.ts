/** Events of real mail, carried to real HTTP servers, and read by the libraries that customers use. */
import { Resend } from 'resend';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAccount, type TestAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';
import { type ScriptedServer, startScriptedServer } from '../support/scripted-smtp-server.ts';
import { type ReceivedEvent, startReceiver } from '../support/webhook-receiver.ts';

const email = { from: 'Acme <a@example.com>', to: 'one@example.net', subject: 'A subject', text: 'Hi' };

let relay: RelayUnderTest;
let smtp: ScriptedServer;

beforeAll(async () => {
  smtp = await startScriptedServer({
    hooks: {
      RCPT: (_connection, _verb, argument) =>
        argument.includes('nobody') ? '550 5.1.1 <nobody@example.net> no such user' : undefined,
    },
  });
  relay = await startRelay({
    settings: { WEBHOOK_RETRY_MS: '0,100,200,400', WEBHOOK_TIMEOUT_MS: '3000' },
  });
});

afterAll(async () => {
  await relay.stop();
  await smtp.stop();
});

function open(): Promise<TestAccount> {
  return openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } });
}

async function send(account: TestAccount, change: Record<string, unknown> = {}): Promise<string> {
  const sent = await account.client.post('/v1/emails', { ...email, ...change });
  expect(sent.status).toBe(200);
  return sent.body.id;
}

async function hook(account: TestAccount, body: Record<string, unknown>) {
  const created = await account.client.post('/v1/webhooks', body);
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  return created.body as { id: string; signing_secret: string };
}

function sdkOf(account: TestAccount): Resend {
  return new Resend(account.client.token, { baseUrl: new URL('/v1', relay.url).href });
}

const typeOf = ({ event }: ReceivedEvent): string => event.type;

describe('an event', () => {
  test('is signed so that three libraries accept it, and refuse it once it is altered', async () => {
    const account = await open();
    const receiver = await startReceiver();
    const { signing_secret: secret } = await hook(account, {
      endpoint: receiver.url,
      events: ['email.delivered'],
    });
    await send(account);
    const [received] = await receiver.waitFor(1);
    const { headers = {}, body = '' } = received ?? {};
    const verify = {
      resend: (payload: string) =>
        sdkOf(account).webhooks.verify({
          payload,
          headers: {
            id: headers['svix-id'] ?? '',
            timestamp: headers['svix-timestamp'] ?? '',
            signature: headers['svix-signature'] ?? '',
          },
          webhookSecret: secret,
        }),
      standardwebhooks: (payload: string) => new StandardWebhook(secret).verify(payload, headers),
      svix: (payload: string) => new SvixWebhook(secret).verify(payload, headers),
    };
    for (const accepts of Object.values(verify)) {
      expect(accepts(body)).toEqual(received?.event);
      expect(() => accepts(body.replace('A subject', 'B subject'))).toThrow();
    }
  });
});
