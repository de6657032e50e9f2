/** The same messages through nodemailer's pooled transport, in this process. */
import { createTransport } from 'nodemailer';
import { FROM, SUBJECT, TEXT_10_KB, TO } from './messages.ts';

export interface PoolOrder {
  readonly port: number;
  readonly messages: number;
  readonly connections: number;
  readonly text?: string;
}

/** Resolves at the last 250. The connections are closed after it. */
export async function sendWithNodemailer(order: PoolOrder): Promise<void> {
  const { port, messages, connections, text = TEXT_10_KB } = order;
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    secure: false,
    ignoreTLS: true,
    pool: true,
    maxConnections: connections,
    // Its default is to reconnect after 100.
    maxMessages: Number.POSITIVE_INFINITY,
  });
  const message = { from: FROM, to: TO, subject: SUBJECT, text };
  await Promise.all(Array.from({ length: messages }, () => transport.sendMail(message)));
  transport.close();
}
