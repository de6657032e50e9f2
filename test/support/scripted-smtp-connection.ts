import { createHmac } from 'node:crypto';
import type * as net from 'node:net';
import * as tls from 'node:tls';
import type { Answer, ScriptedServerOptions, StoredMessage, Verb } from './scripted-smtp-server.ts';

interface OpenMail {
  readonly from: string;
  readonly recipients: string[];
}

const END_OF_DATA = '\r\n.\r\n';

/** One connection to the scripted server: its record, and the conversation. */
export class ServerConnection {
  /** Every command line in order, without CRLF; also those that only answer a 334. */
  readonly commands: string[] = [];
  /** All bytes from the client, inside TLS where there is TLS. */
  readonly received: Buffer[] = [];
  /** What came in clear before STARTTLS. */
  readonly receivedInClear: Buffer[] = [];
  /** How many times the client spoke after having been spoken to: the round trips it waited for. */
  roundTrips = 0;
  secure: boolean;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;

  readonly #options: ScriptedServerOptions;
  readonly #store: (message: StoredMessage) => void;
  readonly #resolveClosed: () => void;
  readonly #raw: net.Socket;
  #socket: net.Socket;
  #state: 'command' | 'response' | 'body' | 'mute' = 'command';
  #buffer: Buffer = Buffer.alloc(0);
  #mail: OpenMail | undefined;
  #auth: { method: string; step: number; answers: string[]; challenge: string } | undefined;
  #bodyHookDone = false;
  #spoke = false;
  #held: Promise<void> | undefined;

  constructor(socket: net.Socket, options: ScriptedServerOptions, store: (message: StoredMessage) => void) {
    this.#options = options;
    this.#store = store;
    this.#raw = socket;
    this.#socket = socket;
    this.secure = options.tls === 'implicit';
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    this.#listen();
    this.#answer('BANNER', '', '220 scripted.test ESMTP');
  }

  /** All of `received` as text, one character for each byte. */
  get wire(): string {
    return Buffer.concat(this.received).toString('latin1');
  }

  /** Sends bytes that nobody asked for. */
  say(bytes: string | Uint8Array): void {
    this.#spoke = true;
    const write = () => this.#later(() => this.#socket.write(bytes));
    if (this.#held) this.#held = this.#held.then(write);
    else write();
  }

  /** Everything that is said from now on waits for this. */
  hold(until: Promise<unknown>): void {
    this.#held = until.then(() => {});
  }

  /** Ends the connection in order. */
  hangUp(): void {
    this.#later(() => this.#socket.end());
  }

  /** Breaks the connection: with RST, except where only the TLS side of the socket is known. */
  reset(): void {
    this.#later(() =>
      this.#raw instanceof tls.TLSSocket ? this.#raw.destroy() : this.#raw.resetAndDestroy(),
    );
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => this.#later(() => this.#take(chunk)));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#resolveClosed());
  }

  #later(act: () => void): void {
    const { oneWayDelayMs = 0 } = this.#options;
    if (oneWayDelayMs === 0) act();
    else setTimeout(act, oneWayDelayMs);
  }

  #take(chunk: Buffer): void {
    if (this.#spoke) this.roundTrips += 1;
    this.#spoke = false;
    this.received.push(chunk);
    if (!this.secure) this.receivedInClear.push(chunk);
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    while (this.#state !== 'mute' && (this.#state === 'body' ? this.#takeBody() : this.#takeLine()));
  }

  #takeLine(): boolean {
    const end = this.#buffer.indexOf('\r\n');
    if (end === -1) return false;
    const line = this.#buffer.toString('utf8', 0, end);
    this.#buffer = this.#buffer.subarray(end + 2);
    this.commands.push(line);
    if (this.#state === 'response') this.#answerResponse(line);
    else this.#answerCommand(line);
    return true;
  }

  #takeBody(): boolean {
    const { bodyHookAfter = Number.POSITIVE_INFINITY } = this.#options;
    const emptyBody = this.#buffer.length >= 3 && this.#buffer.toString('latin1', 0, 3) === '.\r\n';
    const end = emptyBody ? 0 : this.#buffer.indexOf(END_OF_DATA);
    const bodyLength = end === -1 ? this.#buffer.length : end;
    if (!this.#bodyHookDone && bodyLength >= bodyHookAfter) {
      this.#bodyHookDone = true;
      this.#answer('BODY', String(bodyLength), undefined);
      if (this.#state !== 'body') return true;
    }
    if (end === -1) return false;
    const stuffed = emptyBody ? '' : this.#buffer.toString('latin1', 0, end + 2);
    this.#buffer = this.#buffer.subarray(end + (emptyBody ? 3 : END_OF_DATA.length));
    this.#state = 'command';
    const mail = this.#mail ?? { from: '', recipients: [] };
    this.#mail = undefined;
    const data = Buffer.from(stuffed.replace(/(^|\r\n)\./g, '$1'), 'latin1');
    const { replied, kept } = this.#answer('DOT', '', '250 2.0.0 stored');
    if (kept) this.#store({ ...mail, data, answered: replied, connection: this });
    return true;
  }

  #answerCommand(line: string): void {
    const [word = '', ...rest] = line.split(' ');
    const argument = rest.join(' ');
    switch (word.toUpperCase()) {
      case 'EHLO':
        this.#answer('EHLO', argument, this.#ehloReply());
        return;
      case 'HELO':
        this.#answer('HELO', argument, '250 scripted.test');
        return;
      case 'STARTTLS':
        if (this.#answer('STARTTLS', argument, '220 2.0.0 go ahead').replied?.startsWith('220'))
          this.#upgrade();
        return;
      case 'AUTH':
        this.#beginAuth(argument);
        return;
      case 'MAIL':
        this.#beginMail(argument);
        return;
      case 'RCPT': {
        const address = pathOf(argument);
        const ownReply = this.#mail === undefined ? '503 5.5.1 MAIL first' : '250 2.1.5 ok';
        if (isPositive(this.#answer('RCPT', argument, ownReply).replied))
          this.#mail?.recipients.push(address);
        return;
      }
      case 'DATA': {
        const ownReply = this.#mail?.recipients.length ? '354 go ahead' : '503 5.5.1 no recipient';
        if (this.#answer('DATA', argument, ownReply).replied?.startsWith('354')) this.#state = 'body';
        this.#bodyHookDone = false;
        return;
      }
      case 'RSET':
        this.#mail = undefined;
        this.#answer('RSET', argument, '250 2.0.0 ok');
        return;
      case 'NOOP':
        this.#answer('NOOP', argument, '250 2.0.0 ok');
        return;
      case 'QUIT':
        this.#answer('QUIT', argument, { close: true, say: '221 2.0.0 bye\r\n' });
        return;
      default:
        this.say('500 5.5.2 unknown command\r\n');
    }
  }

  #ehloReply(): string {
    const {
      tls: mode,
      pipelining = true,
      extensions = ['8BITMIME', 'SMTPUTF8', 'SIZE 50000000'],
      auth,
    } = this.#options;
    const lines = ['scripted.test', 'ENHANCEDSTATUSCODES', ...extensions];
    if (pipelining) lines.push('PIPELINING');
    if (mode === 'starttls' && !this.secure) lines.push('STARTTLS');
    if (auth !== undefined) lines.push(`AUTH ${auth.methods.join(' ')}`);
    return lines.map((line, index) => `250${index === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  }

  #beginMail(argument: string): void {
    const ownReply = this.#mail === undefined ? '250 2.1.0 ok' : '503 5.5.1 nested MAIL';
    const { replied } = this.#answer('MAIL', argument, ownReply);
    if (isPositive(replied)) this.#mail = { from: pathOf(argument), recipients: [] };
  }

  #beginAuth(argument: string): void {
    const [method = '', initial] = argument.split(' ');
    const challenge = method === 'CRAM-MD5' ? '<1896.697170952@scripted.test>' : '';
    this.#auth = { method, step: 0, answers: initial === undefined ? [] : [initial], challenge };
    this.#continueAuth('AUTH', argument);
  }

  #answerResponse(line: string): void {
    this.#auth?.answers.push(line);
    this.#state = 'command';
    this.#continueAuth('RESPONSE', line);
  }

  #continueAuth(verb: 'AUTH' | 'RESPONSE', argument: string): void {
    const { replied } = this.#answer(verb, argument, this.#authReply());
    if (replied?.startsWith('334')) this.#state = 'response';
  }

  #authReply(): string {
    const { auth } = this.#options;
    const exchange = this.#auth;
    if (auth === undefined || exchange === undefined || !auth.methods.includes(exchange.method)) {
      return '504 5.5.4 not offered';
    }
    const expected = expectedAnswers(exchange.method, auth, exchange.challenge);
    const prompts: Record<string, string[]> = {
      LOGIN: ['Username:', 'Password:'],
      'CRAM-MD5': [exchange.challenge],
    };
    const prompt = prompts[exchange.method]?.[exchange.answers.length];
    if (prompt !== undefined) return `334 ${Buffer.from(prompt).toString('base64')}`;
    if (exchange.answers.join(' ') === expected.join(' ')) return '235 2.7.0 welcome';
    const explains = exchange.method === 'XOAUTH2' && exchange.answers.length === 1;
    return explains ? `334 ${Buffer.from('{"status":"400"}').toString('base64')}` : '535 5.7.8 no';
  }

  #upgrade(): void {
    this.#socket.removeAllListeners('data');
    const secured = new tls.TLSSocket(this.#socket, { isServer: true, ...this.#options.certificate });
    this.#socket = secured;
    this.secure = true;
    this.#buffer = Buffer.alloc(0);
    this.#listen();
  }

  /** Gives the hook's answer, or else our own; tells what was replied and whether a message is kept. */
  #answer(
    verb: Verb,
    argument: string,
    own: Answer | undefined,
  ): { replied: string | undefined; kept: boolean } {
    const answer = this.#options.hooks?.[verb]?.(this, verb, argument) ?? own;
    if (answer === undefined) return { replied: undefined, kept: false };
    const replied = this.#perform(answer);
    const refused = /^[45]/.test(replied ?? '');
    return { replied, kept: (typeof answer === 'string' ? undefined : answer.store) ?? !refused };
  }

  #perform(answer: Answer): string | undefined {
    if (typeof answer === 'string') return this.#perform({ reply: answer });
    if ('reply' in answer) {
      this.say(`${answer.reply}\r\n`);
      return answer.reply;
    }
    if ('raw' in answer) {
      this.say(answer.raw);
      return Buffer.from(answer.raw).toString('latin1');
    }
    this.#state = 'mute';
    if ('silent' in answer) return undefined;
    if (answer.say !== undefined) this.say(answer.say);
    if ('close' in answer) this.hangUp();
    else this.reset();
    return answer.say;
  }
}

function expectedAnswers(
  method: string,
  { username, secret }: { username: string; secret: string },
  challenge: string,
): string[] {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  switch (method) {
    case 'PLAIN':
      return [base64(`\0${username}\0${secret}`)];
    case 'LOGIN':
      return [base64(username), base64(secret)];
    case 'CRAM-MD5':
      return [base64(`${username} ${createHmac('md5', secret).update(challenge).digest('hex')}`)];
    default:
      return [base64(`user=${username}\x01auth=Bearer ${secret}\x01\x01`)];
  }
}

function pathOf(argument: string): string {
  return /<([^>]*)>/.exec(argument)?.[1] ?? '';
}

function isPositive(reply: string | undefined): boolean {
  return reply?.startsWith('2') ?? false;
}
