/** npm `smtp-server` that keeps what arrives: a server that other people wrote, for what must be on the wire. */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface CaughtMail {
  readonly from: string;
  readonly recipients: readonly string[];
  readonly data: Buffer;
}

export interface MailCatcher {
  readonly port: number;
  readonly messages: readonly CaughtMail[];
  /** Resolves once that many messages came in, in all. */
  waitForMessages(count: number): Promise<readonly CaughtMail[]>;
  close(): Promise<void>;
}

export async function startMailCatcher(): Promise<MailCatcher> {
  const messages: CaughtMail[] = [];
  const waiting = new Set<{ count: number; resolve: (caught: readonly CaughtMail[]) => void }>();
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    size: 50_000_000,
    onAuth: ({ username }, _session, done) => done(null, { user: username ?? '' }),
    onData(stream, session, done) {
      const { mailFrom, rcptTo } = session.envelope;
      const chunks: Uint8Array[] = [];
      stream.on('data', (chunk: Uint8Array) => chunks.push(chunk));
      stream.on('end', () => {
        messages.push({
          from: mailFrom ? mailFrom.address : '',
          recipients: rcptTo.map(({ address }) => address),
          data: Buffer.concat(chunks),
        });
        for (const waiter of waiting) {
          if (messages.length < waiter.count) continue;
          waiting.delete(waiter);
          waiter.resolve(messages);
        }
        done();
      });
    },
  });
  // Without this, Nagle's algorithm against delayed acknowledgements adds 40 ms to a pipelined message.
  server.server.on('connection', (socket) => socket.setNoDelay(true));
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    messages,
    waitForMessages(count) {
      if (messages.length >= count) return Promise.resolve(messages);
      return new Promise((resolve) => waiting.add({ count, resolve }));
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
