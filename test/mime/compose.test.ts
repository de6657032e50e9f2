import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { compose } from '../../src/mime/compose.ts';
import type { MessageSource } from '../../src/mime/types.ts';
import {
  attached,
  collect,
  composeBytes,
  type File,
  headerFields,
  headerNames,
  mailbox,
  reader,
  sourceWith,
} from './sources.ts';

const PDF: File = { filename: 'a.pdf', contentType: 'application/pdf', content: Buffer.from('%PDF-1.7') };
const LOGO: File = {
  filename: 'l.png',
  contentType: 'image/png',
  contentId: 'logo@x',
  content: Buffer.from('png'),
};

/** The content types of a message in the order of its parts. */
function structure(message: Buffer): string[] {
  return [...message.toString().matchAll(/^Content-Type: ([^;\r]+)/gm)].map((match) => match[1] ?? '');
}

describe('the structure', () => {
  const text = 'text';
  const html = '<p>html</p>';
  it.each<[string, Partial<MessageSource>, File[], string[]]>([
    ['text alone', { text }, [], ['text/plain']],
    ['html alone', { html }, [], ['text/html']],
    ['nothing', {}, [], ['text/plain']],
    ['text and html', { text, html }, [], ['multipart/alternative', 'text/plain', 'text/html']],
    ['html with an image', { html }, [LOGO], ['multipart/related', 'text/html', 'image/png']],
    ['text with a file', { text }, [PDF], ['multipart/mixed', 'text/plain', 'application/pdf']],
    ['a file alone', {}, [PDF], ['application/pdf']],
    [
      'everything',
      { text, html },
      [PDF, LOGO],
      [
        ...['multipart/mixed', 'multipart/alternative', 'text/plain', 'multipart/related', 'text/html'],
        ...['image/png', 'application/pdf'],
      ],
    ],
  ])('of %s is right', async (_name, changes, files, expected) => {
    const message = await composeBytes(sourceWith(changes), files);
    expect(structure(message)).toEqual(expected);
    const parsed = await simpleParser(message);
    expect(parsed.attachments.map((file) => file.filename).sort()).toEqual(
      files.map((file) => file.filename).sort(),
    );
  });

  it('refers to inline images by their content id', async () => {
    const message = (await composeBytes(sourceWith({ html: '<img src="cid:logo@x">' }), [LOGO])).toString();
    expect(message).toContain('Content-ID: <logo@x>');
    expect(message).toContain('Content-Disposition: inline; filename=l.png');
  });

  it('derives every boundary from the seed, within the 70 characters of RFC 2046', async () => {
    const source = sourceWith({ text: 'a', html: 'b', boundarySeed: 'fedcba98'.repeat(8) });
    const message = (await composeBytes(source, [PDF, LOGO])).toString();
    const boundaries = [...message.matchAll(/boundary="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(new Set(boundaries).size).toBe(3);
    for (const boundary of boundaries) {
      expect(boundary).toMatch(/^=_er-(?:fedcba98){5}-Part_\d$/);
      expect(boundary.length).toBeLessThanOrEqual(70);
    }
  });

  it('refuses a seed that could be guessed', async () => {
    const source = sourceWith({ text: 'a', html: 'b', boundarySeed: 'abc' });
    await expect(composeBytes(source)).rejects.toThrow('boundary seed');
  });
});

describe('the header', () => {
  it('has exactly the expected fields', async () => {
    const source = sourceWith({
      cc: [mailbox('cc@example.org', 'Acme, Inc.')],
      replyTo: [mailbox('reply@example.org', 'O"Brien \\')],
      headers: [{ name: 'X-MyApp', value: 'a "b"; c' }],
      text: 'x',
    });
    expect(headerFields(await composeBytes(source))).toEqual([
      'From: Sender <sender@example.com>',
      'To: to@example.net',
      'Cc: "Acme, Inc." <cc@example.org>',
      'Reply-To: "O\\"Brien \\\\" <reply@example.org>',
      'Subject: Hello',
      'X-MyApp: a "b"; c',
      'Message-ID: <msg_1@example.com>',
      'Date: Tue, 24 Nov 2026 12:00:00 +0000',
      'Content-Transfer-Encoding: 7bit',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
    ]);
  });

  it('never has Bcc or X-Mailer, and leaves out empty address fields', async () => {
    const names = headerNames(await composeBytes(sourceWith({ to: [], subject: '' })));
    expect(names.filter((name) => /^(bcc|x-mailer|to|cc|reply-to|subject)$/i.test(name))).toEqual([]);
  });

  it('keeps canonical domains and writes UTF-8 local parts as they are', async () => {
    const source = sourceWith({ to: [mailbox('用户@xn--fsqu00a.example', '用户')] });
    const composed = await compose(source, reader([]));
    expect(composed.eightBit).toBe(true);
    const [to] = headerFields(await collect(composed.pieces)).filter((field) => field.startsWith('To:'));
    expect(to).toBe('To: =?UTF-8?B?55So5oi3?= <用户@xn--fsqu00a.example>');
  });

  it('is folded, and no line has more than 998 octets', async () => {
    const source = sourceWith({
      subject: `${'Grüße und Küsse '.repeat(40)}${'plain '.repeat(40)}`.trim(),
      to: Array.from({ length: 50 }, (_, i) =>
        mailbox(`recipient-${i}@example.com`, `Recipient Nümber ${i}`),
      ),
      headers: [
        { name: 'X-Long-Word', value: 'w'.repeat(3000) },
        { name: 'X-Words', value: 'some words '.repeat(100).trim() },
        { name: 'X-Spaces', value: `a${' '.repeat(300)}b` },
      ],
      text: 'long line '.repeat(300),
      html: `<p>${'x'.repeat(5000)}</p>`,
    });
    const message = await composeBytes(source, [{ ...PDF, filename: `${'Ü '.repeat(70)}.pdf` }]);
    const lines = message.toString('latin1').split('\r\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(78);
    const header = message.toString('latin1').slice(0, message.indexOf('\r\n\r\n'));
    expect(header.split('\r\n').filter((line) => line.trim() === '')).toEqual([]);
  });

  it('throws rather than write a control character that no check has refused', async () => {
    for (const name of ['a\r\nBcc: x@y', 'a\nb', 'a\0b', 'a\u0085b']) {
      const bad = sourceWith({ headers: [{ name: 'List-Unsubscribe', value: name }] });
      await expect(composeBytes(bad)).rejects.toThrow('control character');
    }
  });
});

describe('the body', () => {
  it('is 7-bit', async () => {
    const source = sourceWith({ subject: 'ü', text: 'ü\0\x7f', html: '<p>漢字</p>' });
    const composed = await compose({ ...source, ...attached([PDF]) }, reader([PDF]));
    expect(composed.eightBit).toBe(false);
    expect((await collect(composed.pieces)).every((byte) => byte > 0 && byte < 0x80)).toBe(true);
  });

  it('has the line ends of its text normalised', async () => {
    const message = await composeBytes(sourceWith({ text: 'a\rb\nc\r\nd\n\re' }));
    expect(message.toString().split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(
      'a\r\nb\r\nc\r\nd\r\n\r\ne\r\n',
    );
  });
});

describe('composing', () => {
  const big: File = {
    filename: 'big.bin',
    contentType: 'application/octet-stream',
    content: Buffer.alloc(700_001, 'edge-relay'),
  };
  const source = sourceWith({ text: 'Grüße\n'.repeat(10), html: '<p>ü</p>', subject: 'Grüße' });

  it('gives the same bytes in another process and another time zone', async () => {
    const script = `
      import { composeBytes, sourceWith } from './test/mime/sources.ts';
      import { createHash } from 'node:crypto';
      const source = sourceWith({ text: 'Grüße\\n'.repeat(10), html: '<p>ü</p>', subject: 'Grüße' });
      const file = { filename: 'a.pdf', contentType: 'application/pdf', content: Buffer.from('%PDF-1.7') };
      console.log(createHash('sha256').update(await composeBytes(source, [file])).digest('hex'));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--experimental-strip-types', '--no-warnings', '--input-type=module', '-e', script],
      {
        cwd: join(import.meta.dirname, '../..'),
        env: { ...process.env, TZ: 'Pacific/Chatham', LANG: 'tr_TR.UTF-8' },
      },
    );
    const first = await composeBytes(source, [PDF]);
    expect(await composeBytes(structuredClone(source), [PDF])).toEqual(first);
    expect(stdout.trim()).toBe(createHash('sha256').update(first).digest('hex'));
  });

  it('streams the bytes that it would build, however the attachment is read', async () => {
    const composed = await Promise.all(
      [1_000, 65_536, 1 << 20].map(async (chunkBytes) => {
        const files = [big, { ...LOGO }, { ...PDF, content: new Uint8Array() }];
        return collect((await compose({ ...source, ...attached(files) }, reader(files, chunkBytes))).pieces);
      }),
    );
    const [one, two, three] = composed;
    expect(two?.equals(one ?? Buffer.alloc(0))).toBe(true);
    expect(three?.equals(one ?? Buffer.alloc(0))).toBe(true);
    const parsed = await simpleParser(one ?? '');
    expect(parsed.attachments.find((file) => file.filename === 'big.bin')?.content).toEqual(big.content);
  });

  it('is the same below and above the size from which it streams', async () => {
    // Two files that are built, and the same two streamed behind a third: their parts must be equal.
    const half: File = { ...big, content: big.content.subarray(0, 100_000) };
    const built = (await composeBytes(source, [half])).toString('latin1');
    const streamed = (await composeBytes(source, [half, { ...big, filename: 'z.bin' }])).toString('latin1');
    const end = built.lastIndexOf('\r\n--=_er-');
    expect(streamed.startsWith(built.slice(0, end))).toBe(true);
  });

  it.each([
    [{ text: 'x' }, [700_001]],
    [{}, [300_000]],
    [{}, [262_144, 0, 1, 57, 58]],
    [{ text: 'ü'.repeat(300_000), html: '<p>' }, [262_145]],
  ])('announces the exact size of %j with attachments of %j', async (changes, sizes) => {
    const files = sizes.map((size, i) => ({ ...big, filename: `${i}.bin`, content: Buffer.alloc(size, i) }));
    const composed = await compose({ ...sourceWith(changes), ...attached(files) }, reader(files));
    expect((await collect(composed.pieces)).length).toBe(composed.sizeBytes);
  });

  it('announces the exact size of small messages', async () => {
    const composed = await compose({ ...source, ...attached([PDF]) }, reader([PDF]));
    expect((await collect(composed.pieces)).length).toBe(composed.sizeBytes);
  });

  it('reads a large attachment as the message is read, not ahead', async () => {
    let given = 0;
    let closed = false;
    const total = 64 * 2 ** 20;
    const read = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (; given < total; given += 65_536) yield new Uint8Array(65_536);
      } finally {
        closed = true;
      }
    };
    const attachments = [{ filename: 'a.bin', contentType: 'application/octet-stream', sizeBytes: total }];
    const composed = await compose({ ...source, attachments }, read);
    expect(given).toBe(0);
    let taken = 0;
    for await (const piece of composed.pieces) {
      expect(piece.length).toBeLessThan(130_000);
      taken += piece.length;
      expect(given).toBeLessThan(taken + 2 ** 20);
      if (taken > 4 * 2 ** 20) break;
    }
    expect(given).toBeLessThan(6 * 2 ** 20);
    await expect.poll(() => closed).toBe(true);
  });

  it('does not touch the attachments of a message that nobody reads', async () => {
    let reads = 0;
    const attachments = attached([big]).attachments;
    const { pieces } = await compose({ ...source, attachments }, () => {
      reads++;
      throw new Error('must not be read');
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(reads).toBe(0);
    await expect(collect(pieces)).rejects.toThrow('must not be read');
  });

  it('fails where an attachment fails, or has not the size it should have', async () => {
    const attachments = attached([big]).attachments;
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      throw new Error('storage is gone');
    };
    const composed = await compose({ ...source, attachments }, failing);
    await expect(collect(composed.pieces)).rejects.toThrow('storage is gone');
    const short = await compose({ ...source, attachments }, reader([{ ...big, content: new Uint8Array(5) }]));
    await expect(collect(short.pieces)).rejects.toThrow('does not have the size');
    await expect(compose({ ...source, ...attached([PDF]) }, failing)).rejects.toThrow('storage is gone');
  });
});
