/**
 * Two readers of one document: the strict parser alone, and the lifter with the same parser behind it. They must
 * agree on every document, valid or not, wherever the pieces are cut.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ContentLifter } from '../../src/http/content-lifter.ts';
import { parseStrictJson } from '../../src/http/strict-json.ts';
import { parseBase64Strict } from '../../src/mime/attachment.ts';

const MARK = '#0123456789abcdef';

type Verdict = { readonly value: unknown } | { readonly refused: string };

function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

function verdictOf(read: () => unknown): Verdict {
  try {
    return { value: read() };
  } catch (error) {
    return {
      refused: error instanceof TypeError ? 'invalid_json' : String(Reflect.get(Object(error), 'code')),
    };
  }
}

/** Contents as an email's attachments are read from them: bytes, or what stands there. */
function contentsOf(value: unknown, found: (mark: string) => Uint8Array | undefined): unknown {
  const copy = structuredClone(value) as { attachments?: unknown };
  if (typeof copy !== 'object' || copy === null || !Array.isArray(copy.attachments)) return copy;
  for (const attachment of copy.attachments) {
    const { content } = Object(attachment);
    if (content === undefined) continue;
    const { type, data } = Object(content);
    let bytes: Uint8Array | undefined;
    if (typeof content === 'string') bytes = found(content) ?? parseBase64Strict(content);
    else if (type === 'Buffer' && Array.isArray(data)) {
      if (data.length === 1 && typeof data[0] === 'string') bytes = found(data[0]);
      else if (data.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255))
        bytes = Uint8Array.from(data);
    }
    // What is refused is refused alike, whatever it is.
    attachment.content = bytes === undefined ? 'refused' : Buffer.from(bytes).toString('hex');
  }
  return copy;
}

function readWhole(bytes: Uint8Array): Verdict {
  return verdictOf(() => contentsOf(parseStrictJson(decode(bytes)), () => undefined));
}

function lift(bytes: Uint8Array, cuts: readonly number[], blockBytes = 8) {
  const contents: Buffer[] = [];
  let current: Uint8Array[] = [];
  const kept: Uint8Array[] = [];
  const sink = {
    write: (part: Uint8Array) => void current.push(part.slice()),
    endContent: () => {
      contents.push(Buffer.concat(current));
      current = [];
      return contents.length - 1;
    },
  };
  const lifter = new ContentLifter(sink, MARK, (part) => void kept.push(part.slice()), blockBytes);
  const edges = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const edge of [...edges, bytes.length]) {
    lifter.push(bytes.slice(from, edge));
    from = edge;
  }
  lifter.end();
  const found = (mark: string) => contents.find((_, index) => lifter.markOf(index) === mark);
  return { kept: Buffer.concat(kept), contents, found };
}

function readLifted(bytes: Uint8Array, cuts: readonly number[]): Verdict {
  return verdictOf(() => {
    const { kept, found } = lift(bytes, cuts);
    return contentsOf(parseStrictJson(decode(kept)), found);
  });
}

const everyOctet = (text: string) => Array.from({ length: Buffer.byteLength(text) }, (_, index) => index);

function expectAgreement(text: string | Uint8Array): Verdict {
  const bytes = Buffer.from(text as string);
  const whole = readWhole(bytes);
  const cuts = Array.from({ length: bytes.length }, (_, index) => index);
  for (const way of [[], cuts, cuts.filter((cut) => cut % 2 === 0), cuts.filter((cut) => cut % 3 === 0)]) {
    expect(readLifted(bytes, way)).toEqual(whole);
  }
  return whole;
}

const HELLO = Buffer.from('Hello, world. ').toString('base64');
const around = (content: string) =>
  `{"to":"x","attachments":[{"filename":"a","content":${content}}],"text":"t"}`;

describe('a content is lifted', () => {
  test('and a mark stays where it was', () => {
    const { kept, contents } = lift(Buffer.from(around(`"${HELLO}"`)), []);
    expect(kept.toString()).toBe(around(`"${MARK}:0;"`));
    expect(contents.map(String)).toEqual(['Hello, world. ']);
  });

  test('from the list of bytes of a Buffer', () => {
    const document = around(JSON.stringify(Buffer.from('bytes')));
    const { kept, contents } = lift(Buffer.from(document), everyOctet(document));
    expect(kept.toString()).toBe(around(`{"type":"Buffer","data":["${MARK}:0;"]}`));
    expect(contents.map(String)).toEqual(['bytes']);
  });

  test.each([
    ['escaped slashes', '"a\\/+\\/"', 'a/+/'],
    ['escapes of the base64 alphabet', '"a\\u002Fb\\u002b\\u0063A\\u003d\\u003D"', 'a/b+cA=='],
  ])('with %s', (_name, written, meant) => {
    const { contents } = lift(Buffer.from(around(written)), everyOctet(around(written)));
    expect(contents[0]).toEqual(Buffer.from(meant, 'base64'));
    expectAgreement(around(written));
  });

  test.each([
    ['a key written with escapes', `{"att\\u0061chments":[{"c\\u006fntent":"${HELLO}"}]}`],
    ['the last of two members', `{"attachments":[{"content":"AAAA","content":"${HELLO}"}]}`],
    ['the last of two lists', `{"attachments":[{"content":"AAAA"}],"attachments":[{"content":"${HELLO}"}]}`],
    [
      'an attachment behind another',
      `{"attachments":[{"content":"AAAA"},{"x":{"content":[]},"content":"${HELLO}"}]}`,
    ],
  ])('from %s', (_name, document) => {
    const { value } = expectAgreement(document) as { value: { attachments: { content: string }[] } };
    expect(value.attachments.at(-1)?.content).toBe(Buffer.from('Hello, world. ').toString('hex'));
    expect(lift(Buffer.from(document), []).kept.toString()).not.toContain(HELLO);
  });

  test.each([
    ['another member', `{"attachments":[{"contents":"${HELLO}"}]}`],
    ['another list', `{"files":[{"content":"${HELLO}"}]}`],
    ['no list', `{"attachments":{"content":"${HELLO}"}}`],
    ['a batch', `[{"attachments":[{"content":"${HELLO}"}]}]`],
    ['a deeper object', `{"x":{"attachments":[{"content":"${HELLO}"}]}}`],
    ['a deeper member', `{"attachments":[{"x":{"content":"${HELLO}"}}]}`],
    ['a name in a string', `{"attachments":["content","${HELLO}",{"x":"content"}]}`],
  ])('but not from %s', (_name, document) => {
    expect(lift(Buffer.from(document), []).kept.toString()).toBe(document);
  });
});

describe('what is no content is judged by the parser', () => {
  test.each([
    ['""', 'value'],
    ['"AAA"', 'value'],
    ['"AAA="', 'value'],
    ['"AA=="', 'value'],
    ['"AB=="', 'value'],
    ['"AA==AAAA"', 'value'],
    ['"A A="', 'value'],
    ['"AAAA-_"', 'value'],
    ['"AAAA\\n"', 'value'],
    ['"AAAA\\"AAAA"', 'value'],
    ['"AAAA\\\\"', 'value'],
    ['"AAAA\\u00e9"', 'value'],
    ['"\\ud83d\\ude00"', 'value'],
    ['"é"', 'value'],
    [`"${MARK}:0;"`, 'value'],
    [`"AA${MARK}:0;"`, 'value'],
    ['"AAAA\n"', 'refused'],
    ['"AAAA\0"', 'refused'],
    ['"AAAA\\x"', 'refused'],
    ['"AAAA\\u12"', 'refused'],
    ['"AAAA\\u12g4"', 'refused'],
    ['"\\ud83d"', 'refused'],
    ['"AAAA', 'refused'],
    ['"AAAA"AAAA"', 'refused'],
    ['"AAAA" "AAAA"', 'refused'],
    ['{"type":"Buffer","data":[]}', 'value'],
    ['{"data":[ 1 ,\t2\r\n,3 ],"type":"Buffer"}', 'value'],
    ['{"type":"Buffer","data":[0,255,-0,1e2,1.0,25.5e1]}', 'value'],
    ['{"type":"Buffer","data":[256]}', 'value'],
    ['{"type":"Buffer","data":[1,-1,2]}', 'value'],
    ['{"type":"Buffer","data":[1,2.5]}', 'value'],
    ['{"type":"Buffer","data":[1,"2",3]}', 'value'],
    ['{"type":"Buffer","data":[1,[2],{"data":[3]}]}', 'value'],
    ['{"type":"Buffer","data":[1,true]}', 'value'],
    ['{"type":"Uint8Array","data":[1]}', 'value'],
    ['{"type":"Buffer","data":[1],"data":[2,3]}', 'value'],
    ['{"type":"Buffer","data":[01]}', 'refused'],
    ['{"type":"Buffer","data":[1,02]}', 'refused'],
    ['{"type":"Buffer","data":[1.]}', 'refused'],
    ['{"type":"Buffer","data":[+1]}', 'refused'],
    ['{"type":"Buffer","data":[1 2]}', 'refused'],
    ['{"type":"Buffer","data":[1,]}', 'refused'],
    ['{"type":"Buffer","data":[,1]}', 'refused'],
    ['{"type":"Buffer","data":[1,,2]}', 'refused'],
    ['{"type":"Buffer","data":[1}', 'refused'],
    ['{"type":"Buffer","data":[1,2', 'refused'],
    ['{"type":"Buffer","data":[-]}', 'refused'],
    ['null', 'value'],
    ['["AAAA"]', 'value'],
    ['{"__proto__":"AAAA"}', 'refused'],
  ])('%j', (content, verdict) => {
    expect(expectAgreement(around(content))).toHaveProperty(verdict);
  });

  test('octets that are no UTF-8', () => {
    const [before = '', after = ''] = around('"AAAA|AAAA"').split('|');
    expect(
      expectAgreement(Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)])),
    ).toEqual({
      refused: 'invalid_json',
    });
  });
});

const base64 = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64'));
const content = fc.oneof(
  base64,
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toJSON()),
  fc.jsonValue({ maxDepth: 2 }),
);
const email = fc.record(
  {
    text: fc.string({ unit: 'binary' }),
    attachments: fc.oneof(
      {
        weight: 5,
        arbitrary: fc.array(fc.record({ filename: fc.string(), content, type: fc.string() }), {
          maxLength: 4,
        }),
      },
      fc.jsonValue({ maxDepth: 2 }),
    ),
    content,
  },
  { requiredKeys: ['attachments'] },
);
const cuts = fc.array(fc.nat(), { maxLength: 30 });

describe('both readers agree', () => {
  test('on any email', () => {
    fc.assert(
      fc.property(email, fc.constantFrom(undefined, 1, '\t'), cuts, (value, indent, at) => {
        const bytes = Buffer.from(JSON.stringify(value, undefined, indent));
        expect(readLifted(bytes, at)).toEqual(readWhole(bytes));
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  test('on any email with some octets changed, lost or doubled', () => {
    const damage = fc.array(
      fc.record({
        at: fc.nat(),
        remove: fc.nat({ max: 2 }),
        insert: fc.oneof(
          fc.constantFrom(
            '"',
            '\\',
            '[',
            ']',
            '{',
            '}',
            ',',
            ':',
            '=',
            '\\u00',
            '\\/',
            ' ',
            '1',
            '\0',
            '"content":"',
          ),
          fc.string({ maxLength: 2, unit: 'binary' }),
        ),
      }),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(email, damage, cuts, (value, changes, at) => {
        let text = JSON.stringify(value);
        for (const { at: place, remove, insert } of changes) {
          const start = place % (text.length + 1);
          text = text.slice(0, start) + insert + text.slice(start + remove);
        }
        const bytes = Buffer.from(text);
        expect(readLifted(bytes, at)).toEqual(readWhole(bytes));
      }),
      { numRuns: 4000 },
    );
  }, 60_000);

  test('on any JSON at all, and on any octets', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), cuts, (text, at) => {
        const bytes = Buffer.from(text);
        expect(readLifted(bytes, at)).toEqual(readWhole(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

test('a document of backslashes takes no longer than any other', () => {
  const bytes = Buffer.from(around(`"AAAA${'\\\\'.repeat(500_000)}"`));
  expect(readLifted(bytes, [])).toEqual(readWhole(bytes));
});
