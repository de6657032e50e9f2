/**
 * A small SMTP server on a free loopback port that answers by a script and keeps everything it read.
 * It never answers two commands in one write, so the number of replies is the number of turns a client waited.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface SmtpScript {
  /** The lines of the answer to EHLO, without codes. */
  readonly capabilities?: readonly string[];
  /** An answer for a command line; undefined keeps the usual one. */
  readonly reply?: (line: string) => string | undefined;
  /** Close the connection with a FIN, and nothing before it, where this command was read. */
  readonly endAfter?: (line: string) => boolean;
}

export interface SmtpServer {
  readonly port: number;
  /** Command lines in order, without the message. */
  readonly commands: string[];
  /** Messages that got their 250, as they were on the wire, without the final dot. */
  readonly messages: string[];
  /** How often the client had to wait for this server: the banner and every reply. */
  turns(): number;
  /** Resolves once the script closed a connection. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

export async function startSmtpServer(script: SmtpScript = {}): Promise<SmtpServer> {
  const commands: string[] = [];
  const messages: string[] = [];
  const sockets = new Set<Socket>();
  const ended = Promise.withResolvers<void>();
  let turns = 0;

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true).setEncoding('latin1');
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    let buffer = '';
    let inData = false;
    const answer = (text: string) => {
      turns += 1;
      socket.write(`${text}\r\n`);
    };
    answer('220 server.test ESMTP');

    socket.on('data', (chunk: string) => {
      buffer += chunk;
      for (;;) {
        const mark = inData ? '\r\n.\r\n' : '\r\n';
        const end = buffer.indexOf(mark);
        if (end < 0) return;
        const taken = buffer.slice(0, end);
        buffer = buffer.slice(end + mark.length);
        if (inData) {
          inData = false;
          messages.push(`${taken}\r\n`);
          answer('250 2.0.0 queued as Q1');
          continue;
        }
        commands.push(taken);
        if (script.endAfter?.(taken)) {
          socket.end();
          ended.resolve();
          return;
        }
        const text = script.reply?.(taken) ?? usualReply(taken, script.capabilities ?? []);
        inData = text.startsWith('354');
        answer(text);
        if (text.startsWith('221')) socket.end();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    commands,
    messages,
    turns: () => turns,
    ended: ended.promise,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function usualReply(line: string, capabilities: readonly string[]): string {
  const verb = line.slice(0, 4).toUpperCase();
  if (verb === 'EHLO') {
    const lines = ['server.test', ...capabilities];
    return lines.map((text, at) => `250${at === lines.length - 1 ? ' ' : '-'}${text}`).join('\r\n');
  }
  if (verb === 'AUTH') return '235 2.7.0 accepted';
  if (verb === 'DATA') return '354 go ahead';
  if (verb === 'QUIT') return '221 bye';
  return '250 2.0.0 ok';
}
