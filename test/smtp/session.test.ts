import { describe, expect, test } from 'vitest';
import { CommandError } from '../../src/smtp/command.ts';
import { LineEndError } from '../../src/smtp/dot-stuffing.ts';
import { bytesOf, envelopeTo, faultOf, LARGE_BODY, openTestSession, sendOne } from './open-test-session.ts';

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe('a session', () => {
  test('sends a message whole, dots and all, and quits in order', async () => {
    const { server, session, transcript } = await openTestSession();
    const body = '.leading\r\n..\r\n.\r\nQUIT\r\nlast line without an end';
    await expect(sendOne(session, body)).resolves.toMatchObject({ code: 250, enhanced: '2.0.0' });
    await session.quit();
    await expect(session.ended).resolves.toBeUndefined();
    expect(session.alive).toBe(false);
    expect(server.messages[0]).toMatchObject({ from: 'from@x.example', recipients: ['to@y.example'] });
    expect(server.messages[0]?.data.toString()).toBe(`${body}\r\n`);
    expect(transcript).toEqual([
      'S: 220 scripted.test ESMTP',
      'C: EHLO client.test',
      'S: 250-scripted.test',
      'S: 250-ENHANCEDSTATUSCODES',
      'S: 250-8BITMIME',
      'S: 250-SMTPUTF8',
      'S: 250-SIZE 50000000',
      'S: 250 PIPELINING',
      'C: MAIL FROM:<from@x.example> SIZE=100',
      'C: RCPT TO:<to@y.example>',
      'C: DATA',
      'S: 250 2.1.0 ok',
      'S: 250 2.1.5 ok',
      'S: 354 go ahead',
      'C: [50 bytes]',
      'C: .',
      'S: 250 2.0.0 stored',
      'C: QUIT',
      'S: 221 2.0.0 bye',
    ]);
  });

  test('costs one round trip and one write for each message once it is warm', async () => {
    const { server, session, transport } = await openTestSession({ server: { oneWayDelayMs: 5 } });
    const [connection] = server.connections;
    const count = 10;
    const verdicts: Promise<unknown>[] = [];
    let transaction = session.begin(envelopeTo('to@y.example'));
    session.flush();
    await transaction.envelope;
    const before = connection?.roundTrips ?? 0;
    const writesBefore = transport.writes.length;
    for (let sent = 1; sent <= count; sent++) {
      await transaction.envelope;
      await transaction.write(bytesOf(`message ${sent}\r\n`));
      verdicts.push(transaction.finish());
      expect(transaction.dotSent).toBe(false);
      const finished = transaction;
      if (sent < count) transaction = session.begin(envelopeTo('to@y.example'));
      session.flush();
      expect(finished.dotSent).toBe(true);
    }
    await Promise.all(verdicts);
    expect(server.messages).toHaveLength(count);
    expect((connection?.roundTrips ?? 0) - before).toBe(count);
    expect(transport.writes.length - writesBefore).toBe(count);
    expect(text(transport.writes.at(-2))).toBe(
      'message 9\r\n.\r\nMAIL FROM:<from@x.example> SIZE=100\r\nRCPT TO:<to@y.example>\r\nDATA\r\n',
    );
  });

  test('a body that is too large to wait for the dot leaves before it, and the dot still shares a write', async () => {
    const { server, session, transport } = await openTestSession();
    const first = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await first.envelope;
    const buffer = bytesOf(LARGE_BODY);
    await first.write(buffer);
    await first.write(bytesOf('tail\r\n'));
    const reply = first.finish();
    session.begin(envelopeTo('b@y.example'));
    session.flush();
    await reply;
    expect(server.messages[0]?.data.toString()).toBe(`${LARGE_BODY}tail\r\n`);
    expect(transport.writes.at(-2)).toHaveLength(buffer.length);
    expect(text(transport.writes.at(-1))).toMatch(/^tail\r\n\.\r\nMAIL FROM:.*\r\nRCPT TO:.*\r\nDATA\r\n$/);
  });

  test('a buffer may be used again once its write has resolved', async () => {
    const { server, session } = await openTestSession();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    const buffer = bytesOf('first\r\n');
    await transaction.write(buffer);
    buffer.fill(0x21);
    const reply = transaction.finish();
    session.flush();
    await reply;
    expect(server.messages[0]?.data.toString()).toBe('first\r\n');
  });

  test('keeps the verdict of every recipient apart', async () => {
    const answers: Record<string, string> = {
      'TO:<b@y.example>': '550 5.1.1 unknown',
      'TO:<c@y.example>': '450 4.2.0 later',
    };
    const { server, session } = await openTestSession({
      server: { hooks: { RCPT: (_connection, _verb, argument) => answers[argument] } },
    });
    const transaction = session.begin(envelopeTo('a@y.example', 'b@y.example', 'c@y.example', 'd@y.example'));
    session.flush();
    const verdict = await transaction.envelope;
    expect(verdict.recipients.map(({ code, enhanced }) => `${code} ${enhanced}`)).toEqual([
      '250 2.1.5',
      '550 5.1.1',
      '450 4.2.0',
      '250 2.1.5',
    ]);
    expect(verdict).toMatchObject({ mail: { code: 250 }, data: { code: 354 }, ready: true });
    await transaction.write(bytesOf('x\r\n'));
    const reply = transaction.finish();
    session.flush();
    await reply;
    expect(server.messages[0]?.recipients).toEqual(['a@y.example', 'd@y.example']);
  });

  test.each([true, false])(
    'carries 150 recipients in one transaction (pipelining: %s)',
    async (pipelining) => {
      const recipients = Array.from({ length: 150 }, (_, index) => `r${index}@y.example`);
      const { session } = await openTestSession({
        server: {
          pipelining,
          hooks: { RCPT: (_c, _v, argument) => (argument.includes('r7@') ? '550 no' : undefined) },
        },
      });
      const transaction = session.begin(envelopeTo(...recipients));
      session.flush();
      const verdict = await transaction.envelope;
      expect(verdict.recipients.map(({ code }) => code)).toEqual(
        recipients.map((_, i) => (i === 7 ? 550 : 250)),
      );
      expect(verdict.ready).toBe(true);
    },
  );

  test('a body in many pieces arrives as one', async () => {
    const { server, session } = await openTestSession();
    const body = `${'.0123456789'.repeat(6)}\r\n`.repeat(20_000);
    const bytes = bytesOf(body);
    const transaction = session.begin(envelopeTo('to@y.example'));
    session.flush();
    await transaction.envelope;
    for (let at = 0; at < bytes.length; at += 65_537)
      await transaction.write(bytes.subarray(at, at + 65_537));
    const reply = transaction.finish();
    session.flush();
    await reply;
    expect(server.messages[0]?.data.equals(bytes)).toBe(true);
  });
});

describe('a server without PIPELINING', () => {
  test('gets one command at a time, the next MAIL only after the reply to the dot', async () => {
    const { server, session, transcript, transport } = await openTestSession({
      server: { pipelining: false },
    });
    const first = session.begin(envelopeTo('a@y.example'));
    await first.envelope;
    await first.write(bytesOf('one\r\n'));
    const firstReply = first.finish();
    const second = session.begin(envelopeTo('b@y.example'));
    session.flush();
    await firstReply;
    await second.envelope;
    await second.write(bytesOf('two\r\n'));
    const secondReply = second.finish();
    session.flush();
    await secondReply;
    await session.quit();
    expect(server.messages.map(({ data }) => data.toString())).toEqual(['one\r\n', 'two\r\n']);
    const commands = transport.writes.map(text).filter((write) => !/^(one|two)/.test(write));
    for (const write of commands) expect(write.match(/\r\n/g)).toHaveLength(1);
    // Strictly alternating, apart from the body that is followed by its dot.
    const turns = transcript.slice(7).filter((line) => !line.includes('bytes]'));
    expect(turns.map((line) => line[0]).join('')).toMatch(/^(CS)+$/);
  });

  test('gets no RCPT after a refused MAIL, no DATA without a recipient, and a RSET before the next MAIL', async () => {
    const { server, session } = await openTestSession({
      server: {
        pipelining: false,
        hooks: {
          MAIL: (connection) => (connection.commands.length === 2 ? '550 5.7.1 not you' : undefined),
          RCPT: (_c, _v, argument) => (argument.includes('gone') ? '550 5.1.1 gone' : undefined),
        },
      },
    });
    await expect(session.begin(envelopeTo('a@y.example')).envelope).resolves.toMatchObject({
      mail: { code: 550 },
      recipients: [],
      data: undefined,
      ready: false,
    });
    await expect(session.begin(envelopeTo('gone@y.example')).envelope).resolves.toMatchObject({
      mail: { code: 250 },
      recipients: [{ code: 550 }],
      data: undefined,
      ready: false,
    });
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
    expect(server.connections[0]?.commands.map((line) => line.split(/[ :]/)[0])).toEqual(
      'EHLO MAIL RSET MAIL RCPT RSET MAIL RCPT DATA'.split(' '),
    );
  });
});

describe('an envelope that is refused', () => {
  test('at MAIL: the replies behind it are read in order, and RSET leaves with the next MAIL', async () => {
    const { server, session, transport } = await openTestSession({
      server: {
        hooks: { MAIL: (connection) => (connection.commands.length === 2 ? '550 5.7.1 no' : undefined) },
      },
    });
    const refused = session.begin(envelopeTo('a@y.example', 'b@y.example'));
    session.flush();
    await expect(refused.envelope).resolves.toMatchObject({
      mail: { code: 550 },
      recipients: [{ code: 503 }, { code: 503 }],
      data: { code: 503 },
      ready: false,
    });
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
    expect(text(transport.writes.at(-2))).toBe(
      'RSET\r\nMAIL FROM:<from@x.example> SIZE=100\r\nRCPT TO:<to@y.example>\r\nDATA\r\n',
    );
    expect(server.messages).toHaveLength(1);
  });

  test('at every RCPT, with DATA refused: the session goes on', async () => {
    const { server, session } = await openTestSession({
      server: {
        hooks: { RCPT: (_c, _v, argument) => (argument.includes('gone') ? '550 5.1.1 gone' : undefined) },
      },
    });
    const refused = session.begin(envelopeTo('gone1@y.example', 'gone2@y.example'));
    session.flush();
    const verdict = await refused.envelope;
    expect(verdict).toMatchObject({
      recipients: [{ code: 550 }, { code: 550 }],
      data: { code: 503 },
      ready: false,
    });
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
    expect(server.messages).toHaveLength(1);
  });

  test.each(['MAIL', 'RCPT'] as const)('at %s, with DATA answered 354: no dot is ever sent', async (verb) => {
    const { server, session } = await openTestSession({
      server: { hooks: { [verb]: () => '550 no', DATA: () => '354 go on then' } },
    });
    const refused = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await expect(refused.envelope).resolves.toMatchObject({ data: { code: 354 }, ready: false });
    await expect(session.ended).resolves.toMatchObject({ stage: 'data', kind: 'aborted' });
    await server.connections[0]?.closed;
    expect(session.alive).toBe(false);
    expect(server.connections[0]?.wire.endsWith('DATA\r\n')).toBe(true);
    expect(server.messages).toHaveLength(0);
  });

  test('at DATA: the verdict says so and the session goes on', async () => {
    const { session } = await openTestSession({
      server: {
        hooks: { DATA: (connection) => (connection.commands.length === 4 ? '451 4.3.0 busy' : undefined) },
      },
    });
    const refused = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await expect(refused.envelope).resolves.toMatchObject({
      recipients: [{ code: 250 }],
      data: { code: 451, enhanced: '4.3.0' },
      ready: false,
    });
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
  });

  test('is told even if the server hangs up right after it', async () => {
    const { session } = await openTestSession({
      server: { hooks: { MAIL: () => ({ close: true, say: '550 5.7.1 go away\r\n' }) } },
    });
    const refused = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await expect(refused.envelope).resolves.toMatchObject({
      mail: { code: 550 },
      recipients: [],
      ready: false,
    });
    await expect(session.ended).resolves.toMatchObject({ kind: 'closed' });
  });

  test('and a RSET that is refused ends the session', async () => {
    const { session } = await openTestSession({
      server: { hooks: { RCPT: () => '550 no', RSET: () => '502 what' } },
    });
    const refused = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await refused.envelope;
    const next = session.begin(envelopeTo('a@y.example'));
    session.flush();
    expect(await faultOf(next.envelope)).toMatchObject({
      stage: 'rset',
      kind: 'reply',
      reply: { code: 502 },
    });
  });
});

describe('421', () => {
  test('to the dot is the reply of finish, and everything behind it ends', async () => {
    const { session } = await openTestSession({ server: { hooks: { DOT: () => '421 4.3.2 closing' } } });
    const first = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await first.envelope;
    await first.write(bytesOf('x\r\n'));
    const reply = first.finish();
    const next = session.begin(envelopeTo('b@y.example'));
    session.flush();
    await expect(reply).resolves.toMatchObject({ code: 421, enhanced: '4.3.2' });
    const fault = await faultOf(next.envelope);
    expect(fault).toMatchObject({ stage: 'dot', kind: 'reply', reply: { code: 421 } });
    expect(next.dotSent).toBe(false);
    expect(session.alive).toBe(false);
    await expect(session.ended).resolves.toBe(fault);
  });

  test.each([true, false])(
    'to one RCPT also answers what stood behind it (pipelining: %s)',
    async (pipelining) => {
      const { session } = await openTestSession({
        server: {
          pipelining,
          hooks: {
            RCPT: (_c, _v, argument) =>
              argument.includes('<b@') ? { close: true, say: '421 4.7.0 too many\r\n' } : '550 5.1.1 unknown',
          },
        },
      });
      const transaction = session.begin(envelopeTo('a@y.example', 'b@y.example', 'c@y.example'));
      session.flush();
      const verdict = await transaction.envelope;
      expect(verdict.recipients.map(({ code }) => code)).toEqual([550, 421, 421]);
      expect(verdict.ready).toBe(false);
      await expect(session.ended).resolves.toMatchObject({
        stage: 'rcpt',
        kind: 'reply',
        reply: { code: 421 },
      });
    },
  );

  test.each(['MAIL', 'DATA'] as const)('to %s is part of the verdict', async (verb) => {
    const { session } = await openTestSession({ server: { hooks: { [verb]: () => '421 4.3.2 closing' } } });
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    const verdict = await transaction.envelope;
    expect(verdict[verb === 'MAIL' ? 'mail' : 'data']?.code).toBe(421);
    expect(verdict.ready).toBe(false);
    expect(session.alive).toBe(false);
  });

  test('while idle ends the session, and a later begin is rejected with the same fault', async () => {
    const { server, session } = await openTestSession();
    server.connections[0]?.say('421 4.4.2 idle for too long\r\n');
    const fault = await session.ended;
    expect(fault).toMatchObject({ stage: 'mail', kind: 'reply', reply: { code: 421, enhanced: '4.4.2' } });
    const late = session.begin(envelopeTo('a@y.example'));
    session.flush();
    expect(await faultOf(late.envelope)).toBe(fault);
  });

  test('in the middle of a body ends the session before the dot', async () => {
    const { server, session } = await openTestSession();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    server.connections[0]?.say('421 4.3.2 closing\r\n');
    await expect(session.ended).resolves.toMatchObject({ stage: 'body', kind: 'reply' });
    await faultOf(transaction.write(bytesOf('x')));
    await faultOf(transaction.finish());
    expect(transaction.dotSent).toBe(false);
  });
});

describe('what the caller may not do', () => {
  test('an envelope that fits no command line throws before anything is sent', async () => {
    const { session, transport } = await openTestSession();
    const writes = transport.writes.length;
    expect(() =>
      session.begin(envelopeTo('ok@y.example', 'r@x.example>\r\nRCPT TO:<evil@z.example')),
    ).toThrow(CommandError);
    session.flush();
    expect(transport.writes).toHaveLength(writes);
    await expect(sendOne(session)).resolves.toMatchObject({ code: 250 });
  });

  test.each(['a\nb', 'a\r.\r\n', 'x\r\n.\n'])(
    'a body with bare line ends (%j) is never completed',
    async (body) => {
      const { server, session } = await openTestSession();
      const transaction = session.begin(envelopeTo('a@y.example'));
      session.flush();
      await transaction.envelope;
      await expect(transaction.write(bytesOf(body))).rejects.toThrow(LineEndError);
      await expect(session.ended).resolves.toMatchObject({ stage: 'body', kind: 'aborted' });
      await expect(transaction.finish()).rejects.toThrow();
      await server.connections[0]?.closed;
      expect(server.messages).toHaveLength(0);
      expect(server.connections[0]?.wire.endsWith('DATA\r\n')).toBe(true);
    },
  );

  test('a second transaction cannot begin inside the first, and a body cannot come before its verdict', async () => {
    const { session } = await openTestSession();
    const transaction = session.begin(envelopeTo('a@y.example'));
    expect(() => session.begin(envelopeTo('b@y.example'))).toThrow('does not take a transaction');
    await expect(transaction.write(bytesOf('x'))).rejects.toThrow('does not take a body');
    await expect(transaction.finish()).rejects.toThrow('does not take a body');
  });

  test('quit inside a transaction drops the connection instead of writing QUIT into the message', async () => {
    const { server, session } = await openTestSession();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    await session.quit();
    await server.connections[0]?.closed;
    expect(server.connections[0]?.wire).not.toContain('QUIT');
    expect(await session.ended).toMatchObject({ stage: 'body', kind: 'aborted' });
  });

  test('quit after a dot waits for its reply', async () => {
    const { server, session } = await openTestSession({ server: { oneWayDelayMs: 5 } });
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    await transaction.write(bytesOf('x\r\n'));
    const reply = transaction.finish();
    await session.quit();
    await expect(reply).resolves.toMatchObject({ code: 250 });
    expect(server.connections[0]?.commands.at(-1)).toBe('QUIT');
    expect(() => session.begin(envelopeTo('a@y.example'))).toThrow();
  });

  test('destroy before the flush keeps the dot back', async () => {
    const { server, session } = await openTestSession();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    await transaction.write(bytesOf('x\r\n'));
    const reply = transaction.finish();
    session.destroy();
    session.flush();
    expect(await faultOf(reply)).toMatchObject({ kind: 'aborted' });
    expect(transaction.dotSent).toBe(false);
    await server.connections[0]?.closed;
    expect(server.messages).toHaveLength(0);
  });

  test('a reply that comes before the dot has left is not taken for its verdict', async () => {
    const { server, session } = await openTestSession();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    await transaction.write(bytesOf('x\r\n'));
    const reply = transaction.finish();
    server.connections[0]?.say('250 2.0.0 already stored, trust me\r\n');
    expect(await faultOf(reply)).toMatchObject({ kind: 'protocol' });
    expect(transaction.dotSent).toBe(false);
  });
});
