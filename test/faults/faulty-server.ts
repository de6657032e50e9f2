/** The SMTP server of one cell: it does the cell's fault the first time its position is reached, and behaves from then on. */
import type * as net from 'node:net';
import type { ServerConnection } from '../support/scripted-smtp-connection.ts';
import {
  type Answer,
  type Hook,
  type StoredMessage,
  startScriptedServer,
  type Verb,
} from '../support/scripted-smtp-server.ts';
import { drip, type Front, startFront } from './front.ts';
import { actOf, type Cell, type Fault, isBody, type Position } from './grid.ts';

export const CREDENTIALS = { username: 'user', secret: 'secret' };
/** What a body position needs: more than the sockets hold, so that the end of the body is not sent at once. */
export const ATTACHMENT_BYTES = 600_000;
const WIRE_BYTES = Math.floor((ATTACHMENT_BYTES / 57) * 78);

export interface FaultyServer {
  readonly port: number;
  /** Whole messages that the server kept, with its reply. */
  readonly messages: readonly StoredMessage[];
  /** Resolves when the position was reached and the fault has begun. */
  readonly reached: Promise<void>;
  readonly isReached: boolean;
  close(): Promise<void>;
}

const VERB_OF: Partial<Record<Position, Verb>> = {
  banner: 'BANNER',
  ehlo: 'EHLO',
  helo: 'HELO',
  starttls: 'STARTTLS',
  'ehlo-inside-tls': 'EHLO',
  auth: 'AUTH',
  'auth-challenge': 'RESPONSE',
  mail: 'MAIL',
  'rcpt-first': 'RCPT',
  'rcpt-middle': 'RCPT',
  'rcpt-last': 'RCPT',
  data: 'DATA',
  'body-first-byte': 'BODY',
  'body-half': 'BODY',
  'body-last-piece': 'BODY',
  'before-dot': 'BODY',
  dot: 'DOT',
  'dot-overlapped': 'DOT',
  'dot-reply-begun': 'DOT',
  rset: 'RSET',
  'next-mail': 'MAIL',
  'next-data': 'DATA',
  quit: 'QUIT',
};

export async function startFaultyServer(
  cell: Cell,
  options: { recipients: readonly string[]; certificate: { key: string; cert: string } },
): Promise<FaultyServer> {
  const { position, fault } = cell;
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  let isReached = false;
  let front: Front | undefined;
  const begin = () => {
    isReached = true;
    reach();
  };
  const answerFault = (connection: ServerConnection, verb: Verb): Answer | undefined => {
    begin();
    if (actOf(fault) === 'rst' && front) {
      setImmediate(() => front?.reset());
      const begun = position === 'dot-reply-begun';
      if (begun) connection.say('250 2');
      return { silent: true, store: fault.endsWith('-stored') };
    }
    return faultAnswer(connection, { verb, fault, position });
  };

  const isHere = positionCheck(cell, options.recipients);
  const seen = new Map<string, number>();
  const hook: Hook = (connection, verb, argument) => {
    const fits = isHere(connection, verb, argument);
    const answer = fits && !isReached ? answerFault(connection, verb) : undefined;
    if (answer) return answer;
    if (position === 'idle' && verb === 'DOT' && !isReached && actOf(fault) !== 'kill') {
      // After the reply to the dot has left.
      setTimeout(() => {
        begin();
        if (actOf(fault) === 'rst' && front) front.reset();
        else sayUnasked(connection, fault);
      }, 20);
    } else if (position === 'idle' && verb === 'DOT') setTimeout(begin, 20);
    const count = (seen.get(verb + argument) ?? 0) + 1;
    seen.set(verb + argument, count);
    return ordinaryAnswer(cell, { verb, argument, count });
  };
  const verbs: Verb[] = ['BANNER', 'EHLO', 'HELO', 'STARTTLS', 'AUTH', 'RESPONSE', 'MAIL', 'RCPT', 'DATA'];
  const hooks = Object.fromEntries([...verbs, 'BODY', 'DOT', 'RSET', 'QUIT'].map((verb) => [verb, hook]));
  const server = await startScriptedServer({
    tls: cell.tls,
    certificate: options.certificate,
    auth: {
      methods: position === 'helo' ? [] : position === 'auth-challenge' ? ['LOGIN'] : ['PLAIN'],
      ...CREDENTIALS,
    },
    hooks,
    bodyHookAfter: bodyHookAfter(position),
  });
  if (needsFront(cell)) front = await startFront({ targetPort: server.port, ...frontFaults(cell, begin) });
  return {
    port: front?.port ?? server.port,
    messages: server.messages,
    reached,
    get isReached() {
      return isReached;
    },
    async close() {
      await front?.close();
      await server.close();
    },
  };
}

function bodyHookAfter(position: Position): number {
  if (position === 'body-half') return Math.floor(WIRE_BYTES / 2);
  return position === 'body-last-piece' ? WIRE_BYTES - 100 : 1;
}

/** Tells whether this is the place. MAIL and DATA of the second message are recognised by the dot of the first. */
function positionCheck(
  { position, fault }: Cell,
  recipients: readonly string[],
): (connection: ServerConnection, verb: Verb, argument: string) => boolean {
  const wanted = isFrontsMatter({ position, fault }) ? undefined : VERB_OF[position];
  const rcpt = { 'rcpt-first': 0, 'rcpt-middle': recipients.length >> 1, 'rcpt-last': recipients.length - 1 };
  let dots = 0;
  return (connection, verb, argument) => {
    if (verb === 'DOT') dots++;
    if (verb !== wanted) return false;
    if (verb === 'EHLO') return connection.secure || position !== 'ehlo-inside-tls';
    if (verb === 'RCPT')
      return argument.includes(`<${recipients[rcpt[position as 'rcpt-first']] ?? 'nobody'}>`);
    if (position === 'next-mail' || position === 'next-data') return dots > 0;
    return true;
  };
}

/** What the server says where there is no fault: recipients that are gone or busy, and what leads to a position. */
function ordinaryAnswer(
  { position }: Cell,
  at: { verb: Verb; argument: string; count: number },
): Answer | undefined {
  if (position === 'helo' && at.verb === 'EHLO') return '502 5.5.1 not known here';
  if (position === 'rset' && at.verb === 'MAIL' && at.count === 1) return '450 4.3.0 not now';
  if (at.verb !== 'RCPT') return undefined;
  if (at.argument.includes('<gone')) return '550 5.1.1 no such user';
  return at.argument.includes('<later') && at.count === 1 ? '450 4.2.0 busy' : undefined;
}

function faultAnswer(
  connection: ServerConnection,
  at: { verb: Verb; fault: Fault; position: Position },
): Answer | undefined {
  const { verb, fault, position } = at;
  const store = fault.endsWith('-stored');
  const begun = position === 'dot-reply-begun' ? { say: '250 2' } : {};
  switch (actOf(fault)) {
    case 'close':
      return { close: true, store, ...begun };
    case 'rst':
      return { reset: true, store, ...begun };
    case 'silence':
    case 'kill':
      if (begun.say) connection.say(begun.say);
      return { silent: true, store };
    case '421':
      return { close: true, say: `${replyOf(fault, verb)}\r\n`, store };
    case 'garbage':
      return unlike(begun.say ? '25this is not SMTP' : 'this is not SMTP', at);
    case 'wrong-class':
      return unlike(verb === 'DATA' ? '250 2.0.0 ok' : '354 go ahead', at);
    case 'long-line':
      return unlike(`250 ${'x'.repeat(5000)}`, at);
    case 'changed-code':
      return unlike('250-first\r\n550 second', at);
    case 'twice':
      return twiceLater(connection);
    case 'torn':
    case 'slow':
      dripReplies(connection, actOf(fault) as 'torn' | 'slow');
      return verb === 'DOT' ? { reply: '250-2.0.0 stored\r\n250-2.0.0 and\r\n250 2.0.0 kept' } : undefined;
    default:
      return isBody(position)
        ? { close: true, say: `${replyOf(fault, verb)}\r\n` }
        : { reply: replyOf(fault, verb) };
  }
}

/** No reply that fits. In a body the server is done with the message then; at the dot it has kept it. */
function unlike(line: string, { verb, position }: { verb: Verb; position: Position }): Answer {
  return isBody(position)
    ? { close: true, say: `${line}\r\n` }
    : { raw: `${line}\r\n`, store: verb === 'DOT' };
}

function replyOf(fault: Fault, verb: Verb): string {
  switch (fault) {
    case '421':
    case '421-stored':
      return '421 4.3.2 closing';
    case '452':
      return verb === 'RCPT' ? '452 4.5.3 too many recipients' : '452 4.3.1 no space';
    case '550':
      return verb === 'RCPT' ? '550 5.1.1 no such user' : '550 5.7.0 refused';
    case '554':
      return '554 5.6.0 refused';
    default:
      return `${fault} 4.3.0 not now`;
  }
}

/** Between two messages nothing is due: whatever is said there was not asked for. */
function sayUnasked(connection: ServerConnection, fault: Fault): void {
  const answer = faultAnswer(connection, { verb: 'NOOP', fault, position: 'idle' });
  if (typeof answer !== 'object') return;
  if ('reply' in answer) connection.say(`${answer.reply}\r\n`);
  else if ('raw' in answer) connection.say(answer.raw);
  else if ('close' in answer) {
    if (answer.say !== undefined) connection.say(answer.say);
    connection.hangUp();
  } else connection.reset();
}

/** The server's own next reply is said again behind itself. */
function twiceLater(connection: ServerConnection): undefined {
  const say = connection.say.bind(connection);
  connection.say = (bytes) => {
    connection.say = say;
    say(Buffer.concat([Buffer.from(bytes), Buffer.from(bytes)]));
  };
}

/** The next reply comes byte by byte, or late; what is said behind it keeps its place. */
function dripReplies(connection: ServerConnection, manner: 'torn' | 'slow'): void {
  const say = connection.say.bind(connection);
  const hangUp = connection.hangUp.bind(connection);
  let isFirst = true;
  let queue = Promise.resolve();
  connection.say = (bytes) => {
    const dripped = isFirst;
    isFirst = false;
    queue = queue.then(() => (dripped ? drip(say, Buffer.from(bytes), manner) : say(bytes)));
  };
  connection.hangUp = () => void queue.then(hangUp);
}

function needsFront(cell: Cell): boolean {
  return isFrontsMatter(cell) || (actOf(cell.fault) === 'rst' && cell.tls === 'implicit');
}

function isFrontsMatter({ position, fault }: { position: Position; fault: Fault }): boolean {
  if (position === 'connect' || position === 'tls') return true;
  // The reply to STARTTLS is the last in clear; only the front can still touch it.
  return position === 'starttls' && (fault === 'torn' || fault === 'slow');
}

/** Once; a connection that was taken out of service stays so. */
function frontFaults({ position, fault }: Cell, begin: () => void) {
  let isDone = false;
  const act = (client: net.Socket): boolean => {
    if (isDone) return false;
    isDone = true;
    begin();
    if (fault === 'close') client.end();
    else if (fault === 'rst') client.resetAndDestroy();
    else if (fault === 'garbage') client.write('this is not TLS\r\n');
    else client.resume();
    return true;
  };
  const dripping = fault === 'torn' || fault === 'slow';
  let queue: Promise<void> | undefined;
  let isDripping = false;
  if (position === 'connect') return { onConnect: act };
  if (position === 'tls') {
    const onClientBytes = (client: net.Socket, bytes: Buffer) => {
      if (isDone || bytes[0] !== 0x16) return false;
      if (!dripping) return act(client);
      isDone = true;
      isDripping = true;
      begin();
      return false;
    };
    const onServerBytes = (client: net.Socket, bytes: Buffer) => {
      if (!isDripping && queue === undefined) return false;
      const first = isDripping ? bytes.subarray(0, 100) : Buffer.alloc(0);
      const rest = bytes.subarray(first.length);
      isDripping = false;
      queue = (queue ?? Promise.resolve())
        .then(() => drip((piece) => client.write(piece), first, fault as 'torn' | 'slow'))
        .then(() => void client.write(rest));
      return true;
    };
    return { onClientBytes, onServerBytes: dripping ? onServerBytes : () => false };
  }
  if (position !== 'starttls' || !dripping) return {};
  const onServerBytes = (client: net.Socket, bytes: Buffer) => {
    if (isDone || !bytes.toString('latin1').startsWith('220 2.0.0 go ahead')) return false;
    isDone = true;
    begin();
    void drip((piece) => client.write(piece), bytes, fault as 'torn' | 'slow');
    return true;
  };
  return { onServerBytes };
}
