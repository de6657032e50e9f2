import { describe, expect, test } from 'vitest';
import { authCommand, authResponse, chooseMethod } from '../../src/smtp/auth.ts';
import { CommandError } from '../../src/smtp/command.ts';
import type { AuthMethod, Credentials } from '../../src/smtp/types.ts';

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const base64 = (value: string) => Buffer.from(value).toString('base64');
const credentials = (username: string, secret: string): Credentials => ({ username, secret, method: 'auto' });

describe('AUTH', () => {
  test('PLAIN matches the example of RFC 4616', () => {
    const line = authCommand('PLAIN', credentials('tim', 'tanstaaftanstaaf'));
    expect(text(line.bytes)).toBe('AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n');
    expect(line.shown).toBe('AUTH PLAIN ***');
    expect(authResponse('PLAIN', credentials('tim', 'x'), 0, '')).toBeUndefined();
  });

  test('CRAM-MD5 matches the example of RFC 2195', () => {
    const tim = credentials('tim', 'tanstaaftanstaaf');
    expect(text(authCommand('CRAM-MD5', tim).bytes)).toBe('AUTH CRAM-MD5\r\n');
    const challenge = 'PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+';
    const line = authResponse('CRAM-MD5', tim, 0, challenge);
    expect(text(line?.bytes)).toBe('dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n');
    expect(line?.shown).toBe('***');
    expect(authResponse('CRAM-MD5', tim, 1, challenge)).toBeUndefined();
  });

  test('LOGIN answers with the name, then the password, then nothing', () => {
    const account = credentials('jürgen', 'päss wörd 🐦');
    expect(text(authCommand('LOGIN', account).bytes)).toBe('AUTH LOGIN\r\n');
    expect(text(authResponse('LOGIN', account, 0, 'VXNlcm5hbWU6')?.bytes)).toBe(`${base64('jürgen')}\r\n`);
    expect(text(authResponse('LOGIN', account, 1, 'UGFzc3dvcmQ6')?.bytes)).toBe(
      `${base64('päss wörd 🐦')}\r\n`,
    );
    expect(authResponse('LOGIN', account, 2, '')).toBeUndefined();
  });

  test('XOAUTH2 sends the token, and an empty line to a refusal', () => {
    const account = credentials('someuser@example.com', 'ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg');
    const line = authCommand('XOAUTH2', account);
    expect(text(line.bytes)).toBe(
      'AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==\r\n',
    );
    expect(text(authResponse('XOAUTH2', account, 0, 'eyJzdGF0dXMiOiI0MDEifQ==')?.bytes)).toBe('\r\n');
    expect(authResponse('XOAUTH2', account, 1, '')).toBeUndefined();
  });

  test.each(['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'] as const)(
    '%s refuses a NUL and a lone surrogate',
    (method) => {
      for (const nasty of ['a\0b', 'a\ud800']) {
        expect(() => authCommand(method, credentials(nasty, 'x'))).toThrow(CommandError);
        expect(() => authCommand(method, credentials('x', nasty))).toThrow(CommandError);
      }
    },
  );

  test('XOAUTH2 refuses its own separator', () => {
    expect(() => authCommand('XOAUTH2', credentials('a', 'b\x01auth=Bearer evil'))).toThrow(CommandError);
  });

  test.each<[AuthMethod, string[], boolean, string | undefined]>([
    ['auto', ['LOGIN', 'PLAIN', 'CRAM-MD5'], true, 'PLAIN'],
    ['auto', ['LOGIN', 'PLAIN', 'CRAM-MD5'], false, 'CRAM-MD5'],
    ['auto', ['LOGIN'], true, 'LOGIN'],
    ['auto', ['CRAM-MD5'], true, 'CRAM-MD5'],
    ['auto', ['XOAUTH2'], true, undefined],
    ['auto', [], true, undefined],
    ['login', ['PLAIN', 'LOGIN'], true, 'LOGIN'],
    ['cram-md5', ['PLAIN'], true, undefined],
    ['xoauth2', ['PLAIN', 'XOAUTH2'], true, 'XOAUTH2'],
  ])('%s of %j, in TLS: %s, is %s', (wanted, offered, secure, expected) => {
    expect(chooseMethod(wanted, offered, secure)).toBe(expected);
  });
});
