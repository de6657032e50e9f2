/**
 * A front that can read: it follows the SMTP that passes through it, and breaks it once, at one command or its
 * reply. What the server behind it was told and what the client heard of it are then known exactly.
 */
import type * as net from 'node:net';
import { drip, startFront } from './front.ts';

export const CUT_POSITIONS = [
  'connect',
  'banner',
  'ehlo',
  'starttls',
  'tls',
  'mail',
  'rcpt',
  'rcpt-last',
  'data',
  'body',
  'dot',
  'quit',
] as const;
export type CutPosition = (typeof CUT_POSITIONS)[number];
/** `unsent` ends the connection before the command comes to the server; the others take its reply away. */
export const CUT_ACTS = ['close', 'rst', 'silence', 'unsent', 'torn'] as const;
export type CutAct = (typeof CUT_ACTS)[number];

export interface Cut {
  readonly position: CutPosition;
  readonly act: CutAct;
}

export interface CuttingFront {
  readonly port: number;
  /** Where the next connections go. */
  targetPort: number;
  readonly isMet: boolean;
  /** Replies to a dot that were passed on to the client; none are seen under TLS. */
  readonly verdicts: readonly string[];
  /** True once TLS was spoken: what came after it could not be read. */
  readonly isBlind: boolean;
  close(): Promise<void>;
}

/** One connection: what the client has asked, and what is due to it. */
interface Wire {
  readonly due: CutPosition[];
  commandTail: string;
  recipients: number;
  isBody: boolean;
  isBlind: boolean;
  isCut: boolean;
  /** Pieces go out one after the other, also where one of them drips. */
  written: Promise<void>;
  replyText: string;
}

export async function startCuttingFront(
  targetPort: number,
  options: { cut?: Cut | undefined; recipients: number; tls: 'none' | 'starttls' | 'implicit' },
): Promise<CuttingFront> {
  const wires = new WeakMap<net.Socket, Wire>();
  const verdicts: string[] = [];
  let target = targetPort;
  let isMet = false;
  let isBlind = options.tls === 'implicit';

  const wireOf = (client: net.Socket): Wire => {
    let wire = wires.get(client);
    if (!wire) {
      wire = {
        due: ['banner'],
        commandTail: '',
        recipients: 0,
        isBody: false,
        isBlind: options.tls === 'implicit',
        isCut: false,
        written: Promise.resolve(),
        replyText: '',
      };
      wires.set(client, wire);
    }
    return wire;
  };
  const isHere = (position: CutPosition) => !isMet && options.cut?.position === position;
  const breakOff = (client: net.Socket, wire: Wire, before = '') => {
    isMet = true;
    wire.isCut = true;
    const { act } = options.cut ?? {};
    if (act === 'rst') client.resetAndDestroy();
    else if (act === 'silence') client.write(before, 'latin1');
    else client.end(before, 'latin1');
  };
  /** The positions that the client's bytes come to. */
  const read = (wire: Wire, bytes: Buffer): CutPosition[] => {
    if (wire.isBlind) return ['tls'];
    const found: CutPosition[] = [];
    let text = wire.commandTail + bytes.toString('latin1');
    if (wire.isBody) {
      const end = text.indexOf('\r\n.\r\n');
      if (end < 0) {
        wire.commandTail = text.slice(-4);
        return ['body'];
      }
      wire.isBody = false;
      found.push('dot');
      text = text.slice(end + 5);
    }
    const lines = text.split('\r\n');
    wire.commandTail = lines.pop() ?? '';
    for (const line of lines) {
      const verb = line.slice(0, 4).toLowerCase();
      if (verb === 'mail') wire.recipients = 0;
      if (verb === 'rcpt') wire.recipients++;
      const isLast = verb === 'rcpt' && wire.recipients === options.recipients && wire.recipients > 1;
      found.push(isLast ? 'rcpt-last' : ((verb === 'star' ? 'starttls' : verb) as CutPosition));
    }
    return found;
  };

  const front = await startFront({
    targetPort: () => target,
    onConnect(client) {
      if (!isHere('connect')) return false;
      breakOff(client, wireOf(client));
      return true;
    },
    onClientBytes(client, bytes) {
      const wire = wireOf(client);
      if (wire.isCut) return true;
      for (const position of read(wire, bytes)) {
        const isUnsent = options.cut?.act === 'unsent' || position === 'body' || position === 'tls';
        if (isHere(position) && isUnsent) {
          breakOff(client, wire);
          return true;
        }
        if (position !== 'body' && position !== 'tls') wire.due.push(position);
      }
      return false;
    },
    onServerBytes(client, bytes) {
      const wire = wireOf(client);
      if (wire.isCut) return true;
      if (wire.isBlind) return false;
      wire.replyText += bytes.toString('latin1');
      let passed = '';
      for (;;) {
        // One whole reply, of however many lines.
        const [reply] = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(wire.replyText) ?? [];
        if (reply === undefined) break;
        wire.replyText = wire.replyText.slice(reply.length);
        const position = wire.due.shift();
        if (position && isHere(position)) {
          if (options.cut?.act !== 'torn') {
            breakOff(client, wire, passed);
            return true;
          }
          isMet = true;
          const torn = Buffer.from(passed + reply, 'latin1');
          passed = '';
          wire.written = wire.written.then(() => drip((piece) => client.write(piece), torn, 'torn'));
        } else passed += reply;
        if (position === 'dot') verdicts.push(reply);
        if (position === 'data' && reply.startsWith('354')) wire.isBody = true;
        if (position === 'starttls' && reply.startsWith('220')) {
          wire.isBlind = true;
          isBlind = true;
        }
      }
      const rest = Buffer.from(passed, 'latin1');
      wire.written = wire.written.then(() => void client.write(rest));
      return true;
    },
  });
  return {
    port: front.port,
    get targetPort() {
      return target;
    },
    set targetPort(port) {
      target = port;
    },
    get isMet() {
      return isMet;
    },
    get isBlind() {
      return isBlind;
    },
    verdicts,
    close: () => front.close(),
  };
}
