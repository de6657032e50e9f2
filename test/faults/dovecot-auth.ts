/**
 * The server side of Dovecot's authentication protocol, as far as Postfix speaks it for AUTH PLAIN: the one way
 * to give a Postfix logins without another daemon.
 */
import * as net from 'node:net';

export interface DovecotAuth {
  readonly port: number;
  close(): Promise<void>;
}

/** Says yes to the one login, 535 to others, and 454 while the user is named `busy`. */
export async function startDovecotAuth(login: { username: string; secret: string }): Promise<DovecotAuth> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.write('VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n');
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const [kind, id, ...fields] = line.split('\t');
        if (kind === 'AUTH') socket.write(`${verdict(id ?? '', fields)}\n`);
      }
    });
  });
  const verdict = (id: string, fields: readonly string[]): string => {
    const response = fields.find((field) => field.startsWith('resp='))?.slice(5) ?? '';
    const [, username, secret] = Buffer.from(response, 'base64').toString().split('\0');
    if (username === 'busy') return `FAIL\t${id}\tuser=${username}\ttemp`;
    const isRight = username === login.username && secret === login.secret;
    return isRight ? `OK\t${id}\tuser=${username}` : `FAIL\t${id}\tuser=${username}`;
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
