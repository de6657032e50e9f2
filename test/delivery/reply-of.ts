/** Replies as servers write them, read by the parser that reads them in production. */
import { ReplyParser } from '../../src/smtp/reply.ts';
import type { Reply } from '../../src/smtp/types.ts';

/** `text` is what stands on the wire, its lines without line ends. */
export function replyOf(...text: readonly string[]): Reply {
  const { replies, fault } = new ReplyParser().push(new TextEncoder().encode(`${text.join('\r\n')}\r\n`));
  const [reply] = replies;
  if (fault !== undefined || reply === undefined || replies.length > 1) {
    throw new Error(`not one reply: ${text.join(' / ')}`);
  }
  return reply;
}
