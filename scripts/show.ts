/** What `npm start` prints: plain text, a label and a value a line. */
import { listAt, textAt, valueAt } from './api-client.ts';
import { demoMessage } from './demo.ts';

const LABEL_WIDTH = 10;

export function line(label: string, value: string): string {
  return `  ${label.padEnd(LABEL_WIDTH)} ${value}`;
}

/** One line an event: time, what happened, through which relay, what the upstream server said. */
export function timeline(email: unknown): string {
  const replies = listAt(email, 'deliveries').flatMap((delivery) => textAt(delivery, 'last_reply') ?? []);
  const rows = listAt(email, 'timeline').map((event) => {
    const at = textAt(event, 'created_at') ?? '';
    const type = textAt(event, 'type') ?? '';
    return [timeOfDay(at), type, textAt(event, 'relay') ?? '', replyOf(event, type, replies)];
  });
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    .join('\n');
}

function replyOf(event: unknown, type: string, replies: readonly string[]): string {
  const own = textAt(event, 'reply') ?? textAt(event, 'reason');
  if (own !== undefined) return own;
  // The ledger keeps the text of the last reply once, with the delivery.
  if (type === 'delivered' && replies[0] !== undefined) return replies[0];
  const code = valueAt(event, 'code');
  return typeof code === 'number' ? String(code) : '';
}

function timeOfDay(timestamp: string): string {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? timestamp : at.toISOString().slice(11, 23);
}

/** Why a message that should have arrived did not, as far as the API knows. */
export function whyNotDelivered(email: unknown): string {
  const delivery = listAt(email, 'deliveries')[0];
  const status = textAt(delivery, 'status') ?? 'unknown';
  const reply = textAt(delivery, 'last_reply') ?? textAt(delivery, 'reason');
  return `The message was not delivered within 60 s (${status}${reply ? `: ${reply}` : ''}).`;
}

export function hints(options: { baseUrl: string; apiKey: string; inboxUrl: string }): string {
  const { baseUrl, apiKey, inboxUrl } = options;
  const { from, to, subject, text } = demoMessage();
  const fields = `from: '${from}', to: '${to}', subject: '${subject}', text: '${text}'`;
  return `  Read it at ${inboxUrl}

Send another with curl:

  curl ${baseUrl}/emails \\
    -H 'Authorization: Bearer ${apiKey}' \\
    -H 'Content-Type: application/json' \\
    -d '${JSON.stringify({ from, to, subject, text })}'

or with the official resend SDK:

  RESEND_BASE_URL=${baseUrl} RESEND_API_KEY=${apiKey} \\
  node --input-type=module -e "
    import { Resend } from 'resend';
    console.log(await new Resend().emails.send({ ${fields} }));"

Ctrl-C ends everything.`;
}
