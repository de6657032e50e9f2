/**
 * From the greeting to a session that is ready for mail. What is insisted on (TLS, credentials) and not
 * offered is a fault before the first secret or address was sent; there is no fall-back to clear text.
 */
import { authCommand, authResponse, chooseMethod } from './auth.ts';
import { NO_CAPABILITIES, readCapabilities } from './capabilities.ts';
import type { Channel } from './channel.ts';
import { ehlo, helo, STARTTLS } from './command.ts';
import { isPositive } from './reply.ts';
import {
  type Capabilities,
  type Credentials,
  type Reply,
  type SessionOptions,
  SmtpFault,
  type Stage,
} from './types.ts';

/** Rejects with the fault; the channel may then still be open for a QUIT. */
export async function shakeHands(channel: Channel, options: SessionOptions): Promise<Capabilities> {
  demandPositive('banner', await channel.greeting());
  let capabilities = await introduce(channel, options);
  if (options.tls === 'starttls') {
    if (!capabilities.startTls) {
      throw new SmtpFault('starttls', 'unsupported', 'The server does not offer STARTTLS.');
    }
    demandPositive('starttls', await channel.exchange('starttls', STARTTLS));
    await channel.upgrade();
    // What was said in clear is void (RFC 3207 section 4.2).
    capabilities = await introduce(channel, options);
  }
  if (options.credentials !== undefined) {
    const secure = options.tls !== 'none';
    await authenticate(channel, options.credentials, { offered: capabilities.authMethods, secure });
  }
  channel.quietStage = 'mail';
  return capabilities;
}

async function introduce(channel: Channel, options: SessionOptions): Promise<Capabilities> {
  channel.quietStage = 'ehlo';
  const reply = await channel.exchange('ehlo', ehlo(options.ehloName));
  const plainMailIsEnough = options.tls !== 'starttls' && options.credentials === undefined;
  if (reply.code >= 500 && plainMailIsEnough) {
    demandPositive('ehlo', await channel.exchange('ehlo', helo(options.ehloName)));
    return NO_CAPABILITIES;
  }
  demandPositive('ehlo', reply);
  return readCapabilities(reply);
}

interface AuthContext {
  readonly offered: readonly string[];
  readonly secure: boolean;
}

async function authenticate(
  channel: Channel,
  credentials: Credentials,
  { offered, secure }: AuthContext,
): Promise<void> {
  const method = chooseMethod(credentials.method, offered, secure);
  if (method === undefined) {
    throw new SmtpFault('auth', 'unsupported', 'The server does not offer a suitable AUTH method.');
  }
  let line = authCommand(method, credentials);
  for (let step = 0; ; step++) {
    const reply = await channel.exchange('auth', line.bytes, { shown: line.shown });
    if (reply.code !== 334) return demandPositive('auth', reply);
    const next = authResponse(method, credentials, step, reply.lines[0] ?? '');
    if (next === undefined) {
      throw new SmtpFault('auth', 'protocol', 'The server asks for more than the AUTH method has.', reply);
    }
    line = next;
  }
}

function demandPositive(stage: Stage, reply: Reply): void {
  if (!isPositive(reply)) throw new SmtpFault(stage, 'reply', 'The server refused the session.', reply);
}
