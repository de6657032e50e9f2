/** Ways to make one thing wrong in a document that was right. */
import fc from 'fast-check';
import { anyJson, anyNumber, anyText } from './hostile.ts';

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
    (value) => {
      const item = Array.isArray(value) ? (value[0] ?? null) : value;
      // Far above any limit there is nothing more to learn, and a client no longer gets to read the refusal.
      const fitting = Math.ceil(300_000 / (JSON.stringify(item)?.length ?? 1));
      return Array(Math.min(size, 300, fitting)).fill(item);
    },
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
