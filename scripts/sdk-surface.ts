/** Every public method of the official SDK, found in the SDK itself: `emails.send`, `webhooks.events.list`, … */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Resend } from 'resend';

/** An alias of a resource is listed under both names. */
export function sdkMethods(): string[] {
  const hidden = privateNames();
  const methods: string[] = [];
  const visit = (object: object, path: string) => {
    for (const [name, part] of Object.entries(object)) {
      if (name !== 'resend' && isResource(part)) visit(part, dotted(path, name));
    }
    const prototype: object = Object.getPrototypeOf(object);
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const isMethod = name !== 'constructor' && typeof Reflect.get(object, name) === 'function';
      if (isMethod && !hidden.has(name)) methods.push(dotted(path, name));
    }
  };
  visit(new Resend('re_none'), '');
  return methods.sort();
}

export function sdkVersion(): string {
  return JSON.parse(readFileSync(join(sdkFolder(), 'package.json'), 'utf8')).version;
}

function isResource(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== Object.prototype && !(value instanceof Headers);
}

/** What the SDK's own types call private is there at run time all the same. */
function privateNames(): ReadonlySet<string> {
  const types = readFileSync(join(sdkFolder(), 'dist/index.d.mts'), 'utf8');
  return new Set([...types.matchAll(/^ {2}private (?:readonly )?(\w+);/gm)].map((match) => match[1] ?? ''));
}

function sdkFolder(): string {
  return dirname(dirname(createRequire(import.meta.url).resolve('resend')));
}

function dotted(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
