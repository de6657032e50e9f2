import { describe, expect, test } from 'vitest';
import { type AddressType, addressesIn, RECORD_TYPES } from '../../src/web/dns-answer.ts';

const HOST = 'hooks.acme.dev';

interface Made {
  readonly type?: AddressType;
  readonly records?: readonly unknown[];
  readonly fields?: Readonly<Record<string, unknown>>;
}

function read({ type = 'A', records, fields = {} }: Made): readonly string[] | undefined {
  const Question = [{ name: HOST, type: RECORD_TYPES[type] }];
  const answer = { Status: 0, TC: false, RD: true, RA: true, Question, ...(records && { Answer: records }) };
  return addressesIn(JSON.stringify({ ...answer, ...fields }), HOST, type);
}

const a = (data: unknown, name = HOST) => ({ name, type: 1, TTL: 60, data });
const cname = (name: string, data: unknown) => ({ name, type: 5, TTL: 60, data });

describe('the addresses of a name', () => {
  test('are all that it has', () => {
    expect(read({ records: [a('93.184.216.34'), a('93.184.216.35')] })).toEqual([
      '93.184.216.34',
      '93.184.216.35',
    ]);
    const records = [{ name: 'Hooks.ACME.dev.', type: 28, TTL: 60, data: '2600::1' }];
    const Question = [{ name: 'HOOKS.acme.dev.', type: 28 }];
    expect(read({ type: 'AAAA', records, fields: { Question, Comment: ['x'] } })).toEqual(['2600::1']);
  });

  test('are those at the end of its aliases, in whatever order they stand', () => {
    const records = [
      a('1.2.3.4', 'end.acme.net'),
      cname('middle.acme.net.', 'end.acme.net.'),
      cname(HOST, 'Middle.acme.net'),
    ];
    expect(read({ records })).toEqual(['1.2.3.4']);
    // An alias that leads to nothing, and a record that is neither.
    expect(read({ records: [cname(HOST, 'gone.acme.net')] })).toEqual([]);
    expect(read({ records: [{ name: HOST, type: 46, TTL: 60, data: 'A 8 2 60 x' }, a('1.2.3.4')] })).toEqual([
      '1.2.3.4',
    ]);
  });

  test('are none where there is no such name, or none of the type', () => {
    expect(read({})).toEqual([]);
    expect(read({ records: [] })).toEqual([]);
    expect(read({ fields: { Status: 3 } })).toEqual([]);
  });

  test('are told as they stand where they only look like one, for the next check', () => {
    expect(read({ records: [a('999.1.1.1')] })).toEqual(['999.1.1.1']);
  });
});

describe('an answer says nothing that can be used', () => {
  const loop = [cname(HOST, 'b.acme.dev'), cname('b.acme.dev', HOST)];
  const chain = Array.from({ length: 20 }, (_, n) => cname(n === 0 ? HOST : `a${n}.dev`, `a${n + 1}.dev`));
  test.each<[string, Made]>([
    ['the resolver failed', { fields: { Status: 2 }, records: [a('1.2.3.4')] }],
    ['the resolver refused', { fields: { Status: 5 } }],
    ['no status', { fields: { Status: undefined } }],
    ['a status in text', { fields: { Status: '0' } }],
    ['it is cut short', { fields: { TC: true }, records: [a('1.2.3.4')] }],
    ['no question', { fields: { Question: [] }, records: [a('1.2.3.4')] }],
    ['another question', { fields: { Question: [{ name: 'evil.dev', type: 1 }] }, records: [a('1.2.3.4')] }],
    ['a question of another type', { fields: { Question: [{ name: HOST, type: 28 }] } }],
    ['two questions', { fields: { Question: Array(2).fill({ name: HOST, type: 1 }) } }],
    ["another name's address", { records: [a('1.2.3.4'), a('1.2.3.5', 'evil.dev')] }],
    ['an address of the alias itself', { records: [cname(HOST, 'b.dev'), a('1.2.3.4')] }],
    ['aliases that go round', { records: loop }],
    ['too many aliases', { records: chain }],
    ['two aliases', { records: [cname(HOST, 'b.dev'), cname(HOST, 'c.dev')] }],
    ['a line end in a name', { records: [cname(HOST, 'b.dev\r\nRCPT TO:<x@evil.dev>')] }],
    ['a line end in an address', { records: [a('1.2.3.4\r\n')] }],
    ['a name for an address', { records: [a('localhost')] }],
    ['an address of the other type', { records: [a('::1')] }],
    ['a number for an address', { records: [a(2130706433)] }],
    ['an address in hex', { records: [a('0x7f.0.0.1')] }],
    ['records that are no list', { fields: { Answer: {} } }],
    ['a record that is none', { records: [null] }],
    ['too many records', { records: Array(101).fill(a('1.2.3.4')) }],
  ])('%s', (_why, made) => {
    expect(read(made)).toBeUndefined();
  });

  test.each(['', 'null', '[]', '{', '"x"', '<html></html>', '{"__proto__":{"Status":0}}'])('%j', (text) => {
    expect(addressesIn(text, HOST, 'A')).toBeUndefined();
  });
});
