/**
 * Global set-up of the `workers` project: an SMTP server that accepts everything, on a free port. Mail to
 * `cut@…` it takes as well, but the connection ends before the final reply.
 */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { TestProject } from 'vitest/node';

export default async function startSmtpServers(project: TestProject): Promise<() => Promise<void>> {
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    onAuth: (auth, _session, done) => {
      if (auth.password === 'wrong') done(new Error('Wrong password'));
      else done(null, { user: auth.username ?? 'user' });
    },
    onData: (stream, session, done) => {
      stream.resume();
      stream.on('end', () => {
        const isCut = session.envelope.rcptTo.some(({ address }) => address.startsWith('cut@'));
        if (isCut) [...server.connections].find((each) => each.session === session)?._socket.destroy();
        else done();
      });
    },
  });
  // A client that resets its connection is no concern of the run; without a listener it would end it.
  server.on('error', () => undefined);
  // Without this, Nagle's algorithm against delayed acknowledgements adds 40 ms to a pipelined message.
  server.server.on('connection', (socket) => socket.setNoDelay(true));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  project.provide('smtpPort', (server.server.address() as AddressInfo).port);
  return () => new Promise((resolve) => server.close(resolve));
}
