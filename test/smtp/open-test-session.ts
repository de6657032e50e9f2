import { onTestFinished } from 'vitest';
import { openSession } from '../../src/smtp/session.ts';
import {
  type Envelope,
  type SessionOptions,
  SmtpFault,
  type SmtpSession,
  type TlsMode,
} from '../../src/smtp/types.ts';
import { connectNode, type NodeTransport } from '../support/node-transport.ts';
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from '../support/scripted-smtp-server.ts';
import type { TestCa } from '../support/test-ca.ts';

export const PATIENT = {
  connectMs: 20_000,
  bannerMs: 20_000,
  commandMs: 20_000,
  dataMs: 20_000,
  bodyWriteMs: 20_000,
  dotMs: 20_000,
};

export interface TestSession {
  readonly server: ScriptedServer;
  readonly transport: NodeTransport;
  readonly session: SmtpSession;
  /** `C: …` and `S: …`, as `onLine` told them. */
  readonly transcript: string[];
}

interface Setup {
  readonly server?: ScriptedServerOptions;
  readonly session?: Partial<SessionOptions>;
  /** Signs the server's certificate, and is trusted by the client unless `trust` is false. */
  readonly ca?: TestCa | undefined;
  readonly trust?: boolean;
}

/** A scripted server and a connection to it, both gone after the test; `open` starts the session. */
export async function prepare({
  server: serverOptions = {},
  session: options = {},
  ca,
  trust = true,
}: Setup = {}) {
  const server = await startScriptedServer({ ...serverOptions, ...(ca && { certificate: ca }) });
  onTestFinished(() => server.close());
  const tls: TlsMode = options.tls ?? serverOptions.tls ?? 'none';
  const address = { host: 'localhost', port: server.port, tls: serverOptions.tls ?? 'none' };
  const transport = await connectNode({ ...address, host: '127.0.0.1' }, ca && trust ? { ca: ca.caPem } : {});
  onTestFinished(() => transport.close());
  const transcript: string[] = [];
  const open = () =>
    openSession(transport, {
      ehloName: 'client.test',
      timeouts: PATIENT,
      onLine: (direction, line) => transcript.push(`${direction === 'client' ? 'C' : 'S'}: ${line}`),
      ...options,
      tls,
    });
  return { server, transport, transcript, open };
}

export async function openTestSession(setup: Setup = {}): Promise<TestSession> {
  const { open, ...rest } = await prepare(setup);
  return { ...rest, session: await open() };
}

export function envelopeTo(...recipients: string[]): Envelope {
  return { from: 'from@x.example', recipients, sizeBytes: 100, eightBit: false, smtpUtf8: false };
}

/** More than a session keeps back to send it together with the dot. */
export const LARGE_BODY = `${'x'.repeat(998)}\r\n`.repeat(200);

export const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Sends one message through all of its steps. */
export async function sendOne(session: SmtpSession, body = 'Subject: x\r\n\r\nhello\r\n') {
  const transaction = session.begin(envelopeTo('to@y.example'));
  session.flush();
  await transaction.envelope;
  await transaction.write(bytesOf(body));
  const reply = transaction.finish();
  session.flush();
  return reply;
}

/** The fault that the promise rejects with. */
export async function faultOf(promise: Promise<unknown>): Promise<SmtpFault> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof SmtpFault)) throw new Error('Expected an SmtpFault.', { cause: error });
  return error;
}
