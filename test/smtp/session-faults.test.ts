/** Each fault at each place where a reply is due. Every cell ends with one typed fault, and nothing hangs. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { FaultKind, SmtpSession, Stage, Transaction } from '../../src/smtp/types.ts';
import type { Answer, Verb } from '../support/scripted-smtp-server.ts';
import { bytesOf, envelopeTo, faultOf, LARGE_BODY, PATIENT, prepare } from './open-test-session.ts';

const account = { username: 'me', secret: 'secret', method: 'plain' as const };

/** Sends one message on a new session; rejects with the first fault that its caller sees. */
async function deliver(open: () => Promise<SmtpSession>, seen: { transaction?: Transaction } = {}) {
  const session = await open();
  const transaction = session.begin(envelopeTo('a@y.example'));
  seen.transaction = transaction;
  session.flush();
  await transaction.envelope;
  await transaction.write(bytesOf('x\r\n'));
  const reply = transaction.finish();
  session.flush();
  return reply;
}

const PLACES: [verb: Verb, stage: Stage][] = [
  ['BANNER', 'banner'],
  ['EHLO', 'ehlo'],
  ['AUTH', 'auth'],
  ['MAIL', 'mail'],
  ['RCPT', 'rcpt'],
  ['DATA', 'data'],
  ['DOT', 'dot'],
];

const FAULTS: [title: string, answer: Answer, kind: FaultKind][] = [
  ['an orderly close', { close: true }, 'closed'],
  ['a close in the middle of a reply', { close: true, say: '250-half' }, 'closed'],
  ['a close in the middle of a code', { close: true, say: '2' }, 'closed'],
  ['a reset', { reset: true }, 'broken'],
  ['text that is no reply', { raw: 'ERROR what?\r\n' }, 'protocol'],
  ['a NUL', { raw: '250 a\0\r\n' }, 'protocol'],
  ['a code that changes', { raw: '250-a\r\n550 b\r\n' }, 'protocol'],
  ['a line without an end', { raw: 'x'.repeat(3_000) }, 'protocol'],
  ['a code of 1xx', { raw: '150 hm\r\n' }, 'protocol'],
  ['a code of 3xx that is not due', { raw: '399 hm\r\n' }, 'protocol'],
];

describe.each([true, false])('with PIPELINING: %s', (pipelining) => {
  describe.each(PLACES)('at %s', (verb, stage) => {
    test.each(FAULTS)('%s ends the session there', async (_title, answer, kind) => {
      const { open, server, transport } = await prepare({
        server: {
          pipelining,
          auth: { methods: ['PLAIN'], ...account },
          hooks: { [verb]: () => answer },
          // Lets the connection be made before a banner hook resets it.
          oneWayDelayMs: 2,
        },
        session: { credentials: account },
      });
      const seen: { transaction?: Transaction } = {};
      const fault = await faultOf(deliver(open, seen));
      expect(fault).toMatchObject({ stage, kind });
      expect(transport.closed).toBe(true);
      expect(seen.transaction?.dotSent ?? false).toBe(verb === 'DOT');
      if (verb !== 'DOT') expect(server.messages).toHaveLength(0);
    });

    test('silence is a timeout, and no timer is left', async () => {
      const { open, transport } = await prepare({
        server: {
          pipelining,
          auth: { methods: ['PLAIN'], ...account },
          hooks: { [verb]: () => ({ silent: true }) },
        },
        session: { credentials: account, timeouts: { ...PATIENT, ...IMPATIENT_AT[stage] } },
      });
      const seen: { transaction?: Transaction } = {};
      expect(await faultOf(deliver(open, seen))).toMatchObject({ stage, kind: 'timeout' });
      expect(transport.closed).toBe(true);
      expect(seen.transaction?.dotSent ?? false).toBe(verb === 'DOT');
    });
  });
});

const IMPATIENT_AT: Partial<Record<Stage, Partial<typeof PATIENT>>> = {
  banner: { bannerMs: 60 },
  ehlo: { commandMs: 60 },
  auth: { commandMs: 60 },
  mail: { commandMs: 60 },
  rcpt: { commandMs: 60 },
  data: { dataMs: 60 },
  dot: { dotMs: 60 },
};

describe('replies that do not fit', () => {
  test.each<[Verb, string, Stage]>([
    ['EHLO', '354 go', 'ehlo'],
    ['MAIL', '354 go', 'mail'],
    ['RCPT', '354 go', 'rcpt'],
    ['DOT', '354 go', 'dot'],
    ['DATA', '250 ok', 'data'],
    ['DATA', '334 go', 'data'],
    ['MAIL', '334 go', 'mail'],
  ])('%s answered by %s is a protocol fault', async (verb, reply, stage) => {
    const { open } = await prepare({ server: { hooks: { [verb]: () => reply } } });
    const fault = await faultOf(deliver(open));
    expect(fault).toMatchObject({ stage, kind: 'protocol', reply: { code: Number(reply.slice(0, 3)) } });
  });

  test('one reply too many on an idle session is a protocol fault', async () => {
    const { open, server } = await prepare();
    const session = await open();
    server.connections[0]?.say('250 surprise\r\n');
    expect(await session.ended).toMatchObject({ stage: 'mail', kind: 'protocol', reply: { code: 250 } });
  });

  test('a verdict in the middle of the body is a protocol fault before the dot', async () => {
    const { open, server } = await prepare({
      server: { bodyHookAfter: 1, hooks: { BODY: () => '552 5.3.4 too big' } },
    });
    const session = await open();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    transaction.write(bytesOf(LARGE_BODY)).catch(() => {});
    expect(await session.ended).toMatchObject({ stage: 'body', kind: 'protocol', reply: { code: 552 } });
    expect(transaction.dotSent).toBe(false);
    expect(server.messages).toHaveLength(0);
  });
});

describe('the end of the connection', () => {
  test.each([{ close: true } as const, { reset: true } as const])('%j in the body', async (answer) => {
    const { open, server } = await prepare({
      server: { bodyHookAfter: 1_000, hooks: { BODY: () => answer } },
    });
    const session = await open();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    const piece = bytesOf(`${'x'.repeat(998)}\r\n`.repeat(64));
    const fault = await faultOf(
      (async () => {
        for (;;) await transaction.write(piece);
      })(),
    );
    expect(fault.stage).toBe('body');
    expect(['closed', 'broken']).toContain(fault.kind);
    expect(server.messages).toHaveLength(0);
  });

  test.each([{ close: true, store: true } as const, { close: true, store: false } as const])(
    'after the dot is a doubt, whatever the server did (%j)',
    async (answer) => {
      const { open, server } = await prepare({ server: { hooks: { DOT: () => answer } } });
      const seen: { transaction?: Transaction } = {};
      expect(await faultOf(deliver(open, seen))).toMatchObject({ stage: 'dot', kind: 'closed' });
      expect(seen.transaction?.dotSent).toBe(true);
      expect(server.messages).toHaveLength(answer.store ? 1 : 0);
    },
  );

  test('after the dot is no doubt for the transaction that was pipelined behind it', async () => {
    const { open } = await prepare({ server: { hooks: { DOT: () => ({ close: true }) } } });
    const session = await open();
    const first = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await first.envelope;
    await first.write(bytesOf('x\r\n'));
    const reply = first.finish();
    const second = session.begin(envelopeTo('b@y.example'));
    session.flush();
    const fault = await faultOf(reply);
    expect(await faultOf(second.envelope)).toBe(fault);
    expect([first.dotSent, second.dotSent]).toEqual([true, false]);
    expect(await session.ended).toBe(fault);
  });

  test('while idle is noticed without anything being sent', async () => {
    const { open, server } = await prepare();
    const session = await open();
    server.connections[0]?.hangUp();
    expect(await session.ended).toMatchObject({ stage: 'mail', kind: 'closed' });
    expect(session.alive).toBe(false);
  });

  test('a server that closes instead of answering QUIT does not matter', async () => {
    const { open } = await prepare({ server: { hooks: { QUIT: () => ({ close: true }) } } });
    const session = await open();
    await expect(session.quit()).resolves.toBeUndefined();
    expect(session.alive).toBe(false);
  });

  test('a 250 to the dot in six pieces is still one verdict', async () => {
    const { open } = await prepare({
      server: {
        hooks: {
          DOT: (connection) => {
            const pieces = ['2', '50-', '2.0.0 st', 'ored\r', '\n250 2.0.0', ' really\r\n'];
            for (const [index, piece] of pieces.entries()) setTimeout(() => connection.say(piece), 5 * index);
            return { raw: '' };
          },
        },
      },
    });
    expect(await deliver(open)).toMatchObject({ code: 250, lines: ['2.0.0 stored', '2.0.0 really'] });
  });
});

describe('writes', () => {
  test('a body write that never completes is a timeout', async () => {
    const { open, transport } = await prepare({ session: { timeouts: { ...PATIENT, bodyWriteMs: 60 } } });
    const session = await open();
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    await transaction.envelope;
    transport.stallWrites = true;
    expect(await faultOf(transaction.write(bytesOf(LARGE_BODY)))).toMatchObject({
      stage: 'body',
      kind: 'timeout',
    });
    expect(transport.closed).toBe(true);
  });

  test('a command write that never completes is a timeout', async () => {
    const { open, transport } = await prepare({ session: { timeouts: { ...PATIENT, commandMs: 60 } } });
    const session = await open();
    transport.stallWrites = true;
    const transaction = session.begin(envelopeTo('a@y.example'));
    session.flush();
    expect(await faultOf(transaction.envelope)).toMatchObject({ stage: 'mail', kind: 'timeout' });
  });

  test('a handshake that never completes is a timeout', async () => {
    const { open } = await prepare({
      server: {
        extensions: ['STARTTLS'],
        hooks: {
          STARTTLS: (connection) => {
            connection.say('220 go\r\n');
            return { silent: true };
          },
        },
      },
      session: { tls: 'starttls', timeouts: { ...PATIENT, connectMs: 60 } },
    });
    expect(await faultOf(open())).toMatchObject({ stage: 'tls', kind: 'timeout' });
  });

  test('a reply that drips in does not get more time', async () => {
    const { open } = await prepare({
      server: {
        hooks: {
          MAIL: (connection) => {
            const timer = setInterval(() => connection.say('250-still there\r\n'), 10);
            void connection.closed.then(() => clearInterval(timer));
            return { silent: true };
          },
        },
      },
      session: { timeouts: { ...PATIENT, commandMs: 80 } },
    });
    expect(await faultOf(deliver(open))).toMatchObject({ stage: 'mail', kind: 'timeout' });
  });
});

describe('what is left behind', () => {
  test('no timer runs after the end, whichever way it came', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const clear = vi.spyOn(globalThis, 'clearTimeout');
    onTestFinished(() => {
      set.mockRestore();
      clear.mockRestore();
    });
    for (const end of ['quit', 'destroy', 'hangUp'] as const) {
      const { open, server } = await prepare();
      const session = await open();
      if (end === 'hangUp') server.connections[0]?.hangUp();
      else await session[end]();
      await session.ended;
    }
    const ours = set.mock.results
      .map((result, index) => ({ timer: result.value, delay: set.mock.calls[index]?.[1] }))
      .filter(({ delay }) => delay === PATIENT.commandMs || delay === 2_000);
    const cleared = new Set(clear.mock.calls.map(([timer]) => timer));
    expect(ours.length).toBeGreaterThan(3);
    for (const { timer } of ours) expect(cleared.has(timer)).toBe(true);
  });

  test('a fault that nobody waits for is not an unhandled rejection', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    onTestFinished(() => void process.off('unhandledRejection', unhandled));
    for (const verb of ['MAIL', 'RCPT', 'DATA', 'DOT'] as const) {
      const { open } = await prepare({ server: { hooks: { [verb]: () => ({ reset: true }) } } });
      const session = await open();
      const transaction = session.begin(envelopeTo('a@y.example'));
      session.flush();
      const verdict = await Promise.race([transaction.envelope.catch(() => undefined), session.ended]);
      if (verdict !== undefined && 'ready' in verdict) {
        void transaction.write(bytesOf('x\r\n'));
        void transaction.finish();
        session.begin(envelopeTo('b@y.example'));
        session.flush();
      }
      await session.ended;
      void transaction.finish();
      void transaction.write(bytesOf('x\r\n'));
      session.begin(envelopeTo('c@y.example'));
    }
    // Node reports unhandled rejections after the microtasks of the turn they arose in.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(unhandled).not.toHaveBeenCalled();
  });
});
