/** SASL over AUTH (RFC 4954) as pure steps: which method, and which line answers which challenge. */
import { Buffer } from 'node:buffer';
import { createHmac } from 'node:crypto';
import { authLine, CommandError } from './command.ts';
import type { AuthMethod, Credentials } from './types.ts';

export type SaslMethod = 'PLAIN' | 'LOGIN' | 'CRAM-MD5' | 'XOAUTH2';

export interface AuthLine {
  readonly bytes: Uint8Array;
  /** For the transcript: the line without its secrets. */
  readonly shown: string;
}

/** Inside TLS the channel protects the password, and CRAM-MD5 would only keep the server from hashing it. */
const PREFERENCE = {
  secure: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  clear: ['CRAM-MD5', 'PLAIN', 'LOGIN'],
} as const satisfies Record<string, readonly SaslMethod[]>;

const BY_NAME = {
  plain: ['PLAIN'],
  login: ['LOGIN'],
  'cram-md5': ['CRAM-MD5'],
  xoauth2: ['XOAUTH2'],
} as const satisfies Record<Exclude<AuthMethod, 'auto'>, readonly SaslMethod[]>;

/** The method to use, or undefined where the server offers none that fits. */
export function chooseMethod(
  wanted: AuthMethod,
  offered: readonly string[],
  secure: boolean,
): SaslMethod | undefined {
  const candidates: readonly SaslMethod[] =
    wanted === 'auto' ? PREFERENCE[secure ? 'secure' : 'clear'] : BY_NAME[wanted];
  return candidates.find((method) => offered.includes(method));
}

/** The AUTH command of the method. */
export function authCommand(method: SaslMethod, credentials: Credentials): AuthLine {
  refuseNul(credentials);
  const { username, secret } = credentials;
  switch (method) {
    case 'PLAIN':
      return withInitialResponse(method, `\0${username}\0${secret}`);
    case 'XOAUTH2':
      if (`${username}${secret}`.includes('\x01')) {
        throw new CommandError('credentials', 'it contains a control character');
      }
      return withInitialResponse(method, `user=${username}\x01auth=Bearer ${secret}\x01\x01`);
    case 'LOGIN':
    case 'CRAM-MD5':
      return { bytes: authLine(`AUTH ${method}`), shown: `AUTH ${method}` };
  }
}

/**
 * The line that answers a 334. `step` counts the challenges from 0. Undefined where the method has no
 * answer left: a server that keeps asking is not followed.
 */
export function authResponse(
  method: SaslMethod,
  credentials: Credentials,
  step: number,
  challenge: string,
): AuthLine | undefined {
  const { username, secret } = credentials;
  if (method === 'LOGIN' && step < 2) return response(base64(step === 0 ? username : secret));
  if (step > 0) return undefined;
  if (method === 'CRAM-MD5') {
    const digest = createHmac('md5', secret).update(Buffer.from(challenge, 'base64')).digest('hex');
    return response(base64(`${username} ${digest}`));
  }
  // The challenge holds the reason of the refusal; an empty line lets the server send its 535.
  if (method === 'XOAUTH2') return response('');
  return undefined;
}

function withInitialResponse(method: SaslMethod, text: string): AuthLine {
  return { bytes: authLine(`AUTH ${method} ${base64(text)}`), shown: `AUTH ${method} ***` };
}

function response(text: string): AuthLine {
  return { bytes: authLine(text), shown: text === '' ? '' : '***' };
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function refuseNul({ username, secret }: Credentials): void {
  for (const value of [username, secret]) {
    if (value.includes('\0') || !value.isWellFormed()) {
      throw new CommandError('credentials', 'it contains a NUL or is not well-formed Unicode');
    }
  }
}
