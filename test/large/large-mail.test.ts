/**
 * Messages of 25 MiB, two at once: accepted and relayed within the memory of an isolate, and the octets that
 * arrive at a server which others wrote are those that were sent.
 */
import { createHash, randomBytes } from 'node:crypto';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type ApiClient, openAccount } from '../support/api-client.ts';
import { freePort } from '../support/free-port.ts';
import { type HeapGauge, startHeapGauge } from '../support/heap-gauge.ts';
import { type MailCatcher, startMailCatcher } from '../support/mail-catcher.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

vi.setConfig({ testTimeout: 300_000 });

const MB = 1_000_000;
const MIB = 1024 * 1024;
const LIMIT_BYTES = 100 * MB;
const LARGE_BYTES = 25 * MIB;

let relay: RelayUnderTest;
let smtp: MailCatcher;
let client: ApiClient;
let gauge: HeapGauge;
let inspectorPort: number;
const log: string[] = [];

beforeAll(async () => {
  smtp = await startMailCatcher();
  inspectorPort = await freePort();
  relay = await startRelay({
    inspectorPort,
    settings: { SESSION_IDLE_MS: '200' },
    onLog: (line) => log.push(line),
  });
  ({ client } = await openAccount(relay.url, ADMIN_TOKEN, { relay: { port: smtp.port } }));
});

afterAll(async () => {
  await relay.stop();
  await smtp.close();
});

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function post(path: string, body: Uint8Array | string, type: string): Promise<string> {
  const response = await fetch(new URL(path, relay.url), {
    method: 'POST',
    headers: { authorization: `Bearer ${client.token}`, 'content-type': type },
    body,
  });
  const answer = (await response.json()) as { id: string };
  expect([response.status, answer]).toEqual([200, { id: expect.any(String), deliveries: expect.any(Array) }]);
  return answer.id;
}

/** Runs with a gauge of its own, and says what the isolate held at most. */
async function measured(what: string, work: () => Promise<void>): Promise<void> {
  gauge = await startHeapGauge(inspectorPort);
  try {
    await work();
    const { peak, samples } = gauge;
    console.log(
      `${what}: ${(peak.total / MB).toFixed(1)} MB (heap ${(peak.usedSize / MB).toFixed(1)}, buffers ${(peak.backingStorageSize / MB).toFixed(1)}), ${samples} samples, ${((await gauge.settled()) / MB).toFixed(1)} MB held afterwards`,
    );
    expect(peak.total).toBeLessThan(LIMIT_BYTES);
  } finally {
    gauge.stop();
  }
}

async function delivered(ids: readonly string[]): Promise<void> {
  for (const id of ids)
    await client.until(`/v1/emails/${id}`, (body) => body.last_event === 'delivered', 90_000);
}

/** MIME of just under 25 MiB, with octets that no composer would write. */
function rawMail(index: number): { sent: Buffer; arrives: Buffer } {
  const header = [
    `From: Sender <sender@example.com>`,
    `To: raw${index}@example.net`,
    `Message-ID: <raw${index}@example.com>`,
    'Date: Tue, 24 Nov 2026 10:00:00 +0000',
    'Subject:\tkept   as it is ',
    'X-Odd:  folded\r\n\t twice\r\n   here\t ',
  ];
  const line = `${'.'.repeat(1 + (index % 2))}${randomBytes(450).toString('hex')}\r\n`;
  const body = line.repeat(Math.floor((LARGE_BYTES - 2000) / line.length));
  const [visible, hidden] = [header.join('\r\n'), 'Bcc: Secret\r\n <secret@example.net>\r\n'];
  return {
    sent: Buffer.from(`${hidden}${visible}\r\n\r\n${body}`, 'latin1'),
    arrives: Buffer.from(`${visible}\r\n\r\n${body}`, 'latin1'),
  };
}

test('two raw messages of 25 MiB at once arrive octet by octet, within 100 MB', async () => {
  const mails = [rawMail(0), rawMail(1)];
  await measured('two raw messages of 25 MiB', async () => {
    const ids = await Promise.all(mails.map(({ sent }) => post('/v1/emails/raw', sent, 'message/rfc822')));
    await delivered(ids);
  });
  for (const [index, { arrives }] of mails.entries()) {
    const found = smtp.messages.filter(({ recipients }) => recipients.includes(`raw${index}@example.net`));
    expect(found).toHaveLength(1);
    expect(found[0]?.recipients).toEqual([`raw${index}@example.net`, 'secret@example.net']);
    expect(sha256Of(found[0]?.data ?? Buffer.alloc(0))).toBe(sha256Of(arrives));
  }
});

test('two JSON messages with 25 MiB of attachments at once arrive as they were, within 100 MB', async () => {
  const emails = [0, 1].map((index) => {
    // A small one and two that share a piece: each must get its own bytes back.
    const files = [1000, 10 * MIB + 1, LARGE_BYTES - 10 * MIB - 1001].map((size) => randomBytes(size));
    const body = JSON.stringify({
      from: 'sender@example.com',
      to: `json${index}@example.net`,
      subject: 'Large',
      text: 'A text',
      attachments: files.map((bytes, n) => ({ filename: `${n}.bin`, content: bytes.toString('base64') })),
    });
    return { body, hashes: files.map(sha256Of) };
  });
  await measured('two JSON messages of 25 MiB', async () => {
    const ids = await Promise.all(emails.map(({ body }) => post('/v1/emails', body, 'application/json')));
    await delivered(ids);
  });
  for (const [index, { hashes }] of emails.entries()) {
    const found = smtp.messages.find(({ recipients }) => recipients.includes(`json${index}@example.net`));
    const { attachments } = await simpleParser(found?.data ?? Buffer.alloc(0));
    expect(attachments.map(({ content }) => sha256Of(content))).toEqual(hashes);
  }
});

test('a message with LF line ends is converted once, and its copy is the same', async () => {
  const text = `From: sender@example.com\nTo: lf@example.net\nMessage-ID: <lf@example.com>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\n\n.\n..dots\n\nend`;
  await delivered([await post('/v1/emails/raw', text, 'message/rfc822')]);
  const found = smtp.messages.find(({ recipients }) => recipients.includes('lf@example.net'));
  expect(found?.data.toString()).toBe(`${text.replaceAll('\n', '\r\n')}\r\n`);
});

test('the log has no fault', () => {
  expect(
    log.filter((line) => /"event":"(?:fault|pump_failed|alarm_failed|message_unreadable)"/.test(line)),
  ).toEqual([]);
});
