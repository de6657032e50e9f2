/**
 * HTML as a mail writer's tool makes it, cut into tags and text. Every character is looked at a bounded number of
 * times, whatever the text: what is never closed ends the document, as it does in a browser.
 */

export type HtmlToken =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'open';
      readonly name: string;
      readonly attributes: ReadonlyMap<string, string>;
      /** Where what is in it begins. */
      readonly end: number;
    }
  | { readonly kind: 'close'; readonly name: string; readonly end: number };

/** Elements whose content is no text for a reader; each ends only at its own closing tag. */
const OPAQUE = new Set(['script', 'style', 'title', 'textarea', 'template', 'noscript', 'xmp', 'iframe']);
/** The only attributes that a text has a use for. */
const KEPT_ATTRIBUTES = new Set(['href', 'alt', 'hidden']);
const NAME_START = /[A-Za-z]/;
const NAME_END = /[\s/>]/;
const ATTRIBUTE_END = /[\s/>=]/;
const SPACE = /\s/;

export function* tokensOf(html: string): Generator<HtmlToken> {
  let at = 0;
  /** Text in which a `<` begins no tag. */
  let textFrom = 0;
  while (at < html.length) {
    const start = html.indexOf('<', at);
    if (start < 0) break;
    const next = html.charAt(start + 1);
    const isClosing = next === '/';
    const isDeclaration = next === '!' || next === '?';
    if (!isDeclaration && !NAME_START.test(isClosing ? html.charAt(start + 2) : next)) {
      at = start + 1;
      continue;
    }
    if (start > textFrom) yield { kind: 'text', text: html.slice(textFrom, start) };
    if (isDeclaration) {
      const mark = html.startsWith('!--', start + 1) ? '-->' : '>';
      const end = html.indexOf(mark, mark === '>' ? start + 2 : start + 4);
      if (end < 0) return;
      at = end + mark.length;
    } else {
      const tag = readTag(html, start + (isClosing ? 2 : 1));
      if (!tag) return;
      at = tag.end;
      if (isClosing) yield { kind: 'close', name: tag.name, end: tag.end };
      else {
        yield { kind: 'open', ...tag };
        if (OPAQUE.has(tag.name)) {
          at = closingTag(html, tag.name, at);
          if (at < 0) return;
        }
      }
    }
    textFrom = at;
  }
  if (textFrom < html.length) yield { kind: 'text', text: html.slice(textFrom) };
}

interface Tag {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly end: number;
}

/** undefined where the document ends within the tag. */
function readTag(html: string, from: number): Tag | undefined {
  const attributes = new Map<string, string>();
  let at = skipUntil(html, from, NAME_END);
  const name = html.slice(from, at).toLowerCase();
  for (;;) {
    while (at < html.length && (SPACE.test(html.charAt(at)) || html.charAt(at) === '/')) at++;
    if (at >= html.length) return undefined;
    if (html.charAt(at) === '>') return { name, attributes, end: at + 1 };
    const nameFrom = at;
    // A stray equals sign begins a name, as in a browser.
    at = skipUntil(html, at + 1, ATTRIBUTE_END);
    const attribute = html.slice(nameFrom, at).toLowerCase();
    while (SPACE.test(html.charAt(at))) at++;
    let value = '';
    if (html.charAt(at) === '=') {
      at++;
      while (SPACE.test(html.charAt(at))) at++;
      const quote = html.charAt(at);
      if (quote === '"' || quote === "'") {
        const end = html.indexOf(quote, at + 1);
        if (end < 0) return undefined;
        value = html.slice(at + 1, end);
        at = end + 1;
      } else {
        const valueFrom = at;
        at = skipUntil(html, at, /[\s>]/);
        value = html.slice(valueFrom, at);
      }
    }
    if (KEPT_ATTRIBUTES.has(attribute) && !attributes.has(attribute)) attributes.set(attribute, value);
  }
}

function skipUntil(html: string, from: number, end: RegExp): number {
  let at = from;
  while (at < html.length && !end.test(html.charAt(at))) at++;
  return at;
}

/** Where the closing tag of an opaque element begins, or -1. */
function closingTag(html: string, name: string, from: number): number {
  for (let at = html.indexOf('</', from); at >= 0; at = html.indexOf('</', at + 2)) {
    const end = at + 2 + name.length;
    if (html.slice(at + 2, end).toLowerCase() === name && !/[^\s/>]/.test(html.charAt(end))) return at;
  }
  return -1;
}
