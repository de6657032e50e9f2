/** What an API is hurt with: texts, ids, numbers, documents, and ways to spoil a document that was right. */
import fc from 'fast-check';

/**
 * Marked words. `TEXT_MARK` is in content: it may come back in what was stored, never in an error or the log.
 * `SECRET_MARK` is in passwords and keys: it may come back nowhere. Letters only, so that they fit any field.
 */
export const TEXT_MARK = 'zqtextmarkqz';
export const SECRET_MARK = 'zqsecretmarkqz';

export const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '\0',
  'a\0b',
  'a\r\nBcc: b@example.net',
  '\r\n.\r\nMAIL FROM:<x@example.net>',
  '\n',
  '\u2028\u2029',
  '\ufeff',
  '\ud800',
  'a\udfffb',
  '\u{10ffff}\ufffe\uffff',
  '\u202e\u200f\u2066abc',
  'e\u0301'.repeat(20),
  `a${'\u0300'.repeat(200)}`,
  '👩‍👩‍👧‍👦'.repeat(10),
  'İıſK',
  '＠．example',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'NaN',
  '-1',
  '1e999',
  '0x10',
  "' OR 1=1 --",
  '"; DROP TABLE accounts; --',
  '%',
  '%s%n%x',
  '%00',
  '{{7*7}}<%= 7 %>',
  '$& $1 $$ $`',
  '../../etc/passwd',
  '<script>alert(1)</script>',
  'a@b@c',
  '@',
  'a@',
  '<>',
  '"a b"@example.net',
  'a@[127.0.0.1]',
  'a@xn--a.example',
  'ü@example.net',
  'a@exämple.example',
  'Name <a@example.net',
  'a@example.net, b@example.net',
  '=?utf-8?b?AAAA?=',
  'x'.repeat(255),
  'x'.repeat(1001),
  'a.'.repeat(128),
  `${'a'.repeat(64)}@${'b'.repeat(63)}.example`,
];

/** Free text, mostly marked. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 40 }).map((text) => TEXT_MARK + text) },
  { weight: 2, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  { weight: 1, arbitrary: fc.array(fc.nat(0xffff), { maxLength: 12 }).map((c) => String.fromCharCode(...c)) },
);

const anyNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 1.5, 101, 65_536, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, 5e-324),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

export const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, [], {}, [null], [[]], { a: 1 }),
  anyNumber,
  anyText,
  fc.jsonValue({ maxDepth: 3 }),
);

/** In a path, already in the form in which it is sent. */
export const HOSTILE_SEGMENTS: readonly string[] = [
  '%2F',
  '%2e',
  '%2e%2e',
  '..%2f..%2fadmin%2faccounts',
  '%00',
  'a%00b',
  '%0d%0aX-Injected:%20yes',
  '%',
  '%zz',
  '%E0%A4%A',
  '%ff%fe',
  '%ED%A0%80',
  '%25',
  '%2500',
  '%3F',
  '%23',
  '%20',
  '+',
  '*',
  ':id',
  '~',
  ';a=b',
  '__proto__',
  'constructor',
  'undefined',
  'null',
  '0',
  '-1',
  '1e9',
  '99999',
  'batch',
  "'%20OR%201=1--",
  'x'.repeat(64),
  'x'.repeat(65),
  'x'.repeat(3000),
  `msg_${'z'.repeat(26)}`,
  `msg_${'0'.repeat(26)}`,
  `msg_${'0'.repeat(25)}`,
  `msg_${'0'.repeat(25)}I`,
  `MSG_${'0'.repeat(26)}`,
  '%6d%73%67_01jdf3x8a0q4m7wz2e5c9tgkbn',
];

/** Bodies that are no JSON, or JSON that a parser should not be given. */
export const anyRawBody: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  anyText.map((text) => Buffer.from(text)),
  anyJson.map((value) => Buffer.from(JSON.stringify(value) ?? '')),
  fc
    .constantFrom(
      '',
      '{',
      '[]',
      '[',
      '"',
      'nul',
      '{"a":1}{"b":2}',
      '{"a":1,"a":2}',
      '{"a":1,}',
      "{'a':1}",
      '\ufeff{}',
      '{"__proto__":{"x":1}}',
      '{"constructor":{"prototype":{}}}',
      '{"a":"\\ud800"}',
      '{"\\udfff":1}',
      '{"a":1e999}',
      '{"a":-0}',
      `{"a":${'9'.repeat(400)}}`,
      '{"a":\u0000}',
      '[{}]',
      '[[{}]]',
      `${'['.repeat(33)}${']'.repeat(33)}`,
      '['.repeat(100_000),
      '{"a":'.repeat(50_000),
      `[${'0,'.repeat(30_000)}0]`,
      `[${'[],'.repeat(20_001)}[]]`,
      `{${Array.from({ length: 10_001 }, (_, at) => `"k${at}":0`).join()}}`,
      `{"name":"${TEXT_MARK}${'x'.repeat(70_000)}"}`,
      `"${TEXT_MARK}`,
    )
    .map((text) => Buffer.from(text)),
  fc
    .constantFrom('{"name":"\xff"}', '{"a":"\xc0\xaf"}', '\xff\xfe{\0}\0')
    .map((text) => Buffer.from(text, 'latin1')),
);

/** One thing made wrong. `at` picks the place. */
export interface Spoil {
  readonly kind: 'drop' | 'add' | 'replace' | 'text' | 'number' | 'grow' | 'nest' | 'repeat';
  readonly at: number;
  readonly key: string;
  readonly value: unknown;
  readonly text: string;
  readonly number: number;
  readonly size: number;
}

export const anySpoil: fc.Arbitrary<Spoil> = fc.record({
  kind: fc.constantFrom('drop', 'add', 'replace', 'text', 'number', 'grow', 'nest', 'repeat'),
  at: fc.nat(10_000),
  key: fc.constantFrom(
    'extra',
    '__proto__',
    'constructor',
    'prototype',
    '',
    'a.b',
    'Name',
    '\0',
    'id',
    'account_id',
  ),
  value: anyJson,
  text: anyText,
  number: anyNumber,
  size: fc.constantFrom(2, 51, 101, 256, 257, 1001, 5000, 70_000),
});

type Change = (value: unknown) => unknown;

/** A copy with one place changed. Fields that lead to the network keep to what is harmless there. */
export function spoiled(root: unknown, spoil: Spoil): unknown {
  const places = placesOf(root);
  const path = places[spoil.at % places.length] ?? [];
  const leaf = path.findLast((part) => typeof part === 'string');
  if (isNetworkField(leaf)) {
    const text = HARMLESS_HOSTS[spoil.at % HARMLESS_HOSTS.length];
    return changed(root, path, () =>
      spoil.kind === 'replace' && typeof spoil.value !== 'string' ? spoil.value : text,
    );
  }
  if (spoil.kind === 'drop') return dropped(root, path);
  if (spoil.kind === 'add') {
    const objects = places.filter((place) => isObject(valueIn(root, place)));
    const place = objects[spoil.at % Math.max(1, objects.length)] ?? [];
    return changed(root, place, (value) => withKey(value, spoil.key, spoil.value));
  }
  return changed(root, path, CHANGES[spoil.kind](spoil));
}

const CHANGES: Readonly<Record<Exclude<Spoil['kind'], 'drop' | 'add'>, (spoil: Spoil) => Change>> = {
  replace:
    ({ value }) =>
    () =>
      value,
  text:
    ({ text }) =>
    () =>
      text,
  number:
    ({ number }) =>
    () =>
      number,
  grow:
    ({ size }) =>
    (value) =>
      typeof value === 'string'
        ? (value || 'x').repeat(Math.ceil(size / Math.max(1, value.length)))
        : 'x'.repeat(size),
  nest:
    ({ size }) =>
    (value) => {
      let nested = value;
      for (let depth = 0; depth < Math.min(size, 60); depth++)
        nested = depth % 2 === 0 ? [nested] : { a: nested };
      return nested;
    },
  repeat:
    ({ size }) =>
    (value) =>
      Array(Math.min(size, 300)).fill(Array.isArray(value) ? (value[0] ?? null) : value),
};

/** Nothing here resolves, or it is this machine. */
const HARMLESS_HOSTS = [
  '',
  'fuzz.invalid',
  'http://fuzz.invalid/',
  'https://user:pass@fuzz.invalid/',
  'file:///etc/passwd',
  'javascript:1',
  '127.0.0.1',
  'localhost.',
  'https://127.0.0.1:1/',
  'https://[::1]/',
  '[::1]',
  '0x7f.1',
  'a\r\nb.invalid',
  'fuzz.invalid\0',
  'ﬁ.invalid',
  `${'a'.repeat(64)}.invalid`,
  'a..invalid',
  '-a.invalid',
];

function isNetworkField(name: PropertyKey | undefined): boolean {
  return typeof name === 'string' && /(?:^|_)(?:host|hostname|url|endpoint)$/.test(name);
}

type Place = readonly (string | number)[];

function placesOf(value: unknown, path: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [path];
  const keys = Array.isArray(value) ? [...value.keys()].slice(0, 50) : Object.keys(value);
  return [path, ...keys.flatMap((key) => placesOf(Reflect.get(value, key), [...path, key]))];
}

function valueIn(root: unknown, path: Place): unknown {
  return path.reduce<unknown>((value, key) => Reflect.get(value as object, key), root);
}

function changed(root: unknown, path: Place, change: Change): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return change(root);
  const inner = changed(Reflect.get(root as object, key), rest, change);
  if (Array.isArray(root)) return root.map((item, at) => (at === key ? inner : item));
  return withKey(root, String(key), inner);
}

function dropped(root: unknown, path: Place): unknown {
  const key = path.at(-1);
  if (key === undefined) return {};
  return changed(root, path.slice(0, -1), (holder) =>
    Array.isArray(holder)
      ? holder.filter((_, at) => at !== key)
      : Object.fromEntries(Object.entries(holder as object).filter(([name]) => name !== key)),
  );
}

/** Defined, not assigned: `__proto__` has to become a key. */
function withKey(value: unknown, key: string, inner: unknown): unknown {
  if (!isObject(value)) return { [key]: inner };
  const copy = { ...value };
  Object.defineProperty(copy, key, { value: inner, enumerable: true, configurable: true, writable: true });
  return copy;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
