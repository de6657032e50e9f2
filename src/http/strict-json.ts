/**
 * JSON as we accept it. What a parser would build is bounded before it is built: a few megabytes of
 * brackets would otherwise become hundreds of megabytes of objects. Keys that reach for a prototype and
 * strings that are not well-formed Unicode are refused at any depth.
 */
import { AppError } from '../errors.ts';
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-characters.ts';

const MAX_DEPTH = 32;
const MAX_KEYS = 10_000;
const MAX_CONTAINERS = 20_000;
/** Room for an attachment given as an array of byte values. */
const MAX_ITEMS = 4 * 1024 * 1024;
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

export function parseStrictJson(text: string): unknown {
  checkShape(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the input.
    throw invalid('it does not parse');
  }
  checkContent(value, text.includes('\\'));
  return value;
}

/** Counts what stands outside of strings. Says nothing about syntax: that is the parser's job. */
function checkShape(text: string): void {
  let depth = 0;
  let keys = 0;
  let containers = 0;
  let items = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case COMMA:
        if (++items > MAX_ITEMS) throw invalid('it has too many values');
        break;
      case COLON:
        if (++keys > MAX_KEYS) throw invalid('it has too many keys');
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        if (++depth > MAX_DEPTH) throw invalid('it is nested too deeply');
        if (++containers > MAX_CONTAINERS) throw invalid('it has too many objects and arrays');
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth--;
        break;
    }
  }
}

/** The place of the closing quote. Native search: most bytes of a large body are inside a few strings. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (quote !== -1) {
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote;
    quote = text.indexOf('"', quote + 1);
  }
  return text.length;
}

/** A stack of our own instead of recursion. Only an escape can make a string ill-formed: the bytes were UTF-8. */
function checkContent(root: unknown, hasEscapes: boolean): void {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value === 'string') checkText(value, hasEscapes);
    if (typeof value !== 'object' || value === null) continue;
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object' || typeof item === 'string') pending.push(item);
      continue;
    }
    for (const key of Object.keys(value)) {
      if (FORBIDDEN_KEYS.has(key)) throw invalid('it has a key with a reserved name');
      checkText(key, hasEscapes);
      pending.push(Reflect.get(value, key));
    }
  }
}

function checkText(text: string, hasEscapes: boolean): void {
  if (hasEscapes && !text.isWellFormed()) throw invalid('it has a string that is not well-formed Unicode');
}

function invalid(reason: string): AppError {
  return new AppError('invalid_json', { reason });
}
