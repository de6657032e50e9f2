/**
 * The template language, from text to a tree: `{{value}}`, `{{{raw}}}`, `{{value|fallback}}`, `{{#if}}`, `{{#unless}}`, `{{#each}}`,
 * `{{else}}`, Mustache's `{{#section}}` and `{{^section}}`, and comments. Nothing else: no partials, no helpers, no other delimiters.
 *
 * Whoever writes a template may be hostile, so everything is found by `indexOf` from left to right, once: time is
 * linear in the length of the text, and tags and nesting are counted. See docs/decisions/0012-template-language.md.
 */

/** A path by its names; `this` and what begins with `@` are about the item of a loop. */
export interface Path {
  readonly text: string;
  readonly parts: readonly string[];
}

export interface TextNode {
  readonly kind: 'text';
  readonly text: string;
  readonly sizeBytes: number;
}

export interface ValueNode {
  readonly kind: 'value';
  readonly path: Path;
  readonly isRaw: boolean;
  readonly fallback?: string;
}

export interface BlockNode {
  readonly kind: 'block';
  readonly type: 'if' | 'unless' | 'each' | 'section';
  readonly path: Path;
  readonly body: readonly TemplateNode[];
  readonly otherwise: readonly TemplateNode[];
}

export type TemplateNode = TextNode | ValueNode | BlockNode;

export interface Template {
  readonly nodes: readonly TemplateNode[];
  /** About what it weighs in memory. */
  readonly weight: number;
}

export type ParsedTemplate =
  | { readonly ok: true; readonly template: Template }
  /** `reason` says where: `line 3, column 5: …`. */
  | { readonly ok: false; readonly reason: string };

export const MAX_TAGS = 5000;
export const MAX_DEPTH = 16;
const MAX_TAG_CHARACTERS = 500;
const MAX_PATH_PARTS = 10;
const NODE_WEIGHT = 200;

const NAME = /^(?:this|[A-Za-z_][A-Za-z0-9_-]*)$/;
const MEMBER = /^[A-Za-z0-9_][A-Za-z0-9_-]*$/;
const LOOP_NAMES = new Set(['@index', '@first', '@last']);
const KEYWORD_BLOCK = /^(if|unless|each)\s+(\S+)$/;
const UNSUPPORTED: Readonly<Record<string, string>> = {
  '>': 'partials are not supported',
  '=': 'other delimiters are not supported',
  '*': 'decorators are not supported',
  '&': 'write a raw value with three braces',
  '{': 'there is a brace too many',
};

interface OpenBlock {
  readonly at: number;
  readonly type: BlockNode['type'];
  readonly path: Path;
  /** What the closing tag has to name. */
  readonly name: string;
  readonly body: TemplateNode[];
  readonly otherwise: TemplateNode[];
  hasElse: boolean;
}

class ParseFault extends Error {
  readonly at: number;

  constructor(at: number, reason: string) {
    super(reason);
    this.at = at;
  }
}

export function parseTemplate(source: string): ParsedTemplate {
  try {
    const parser = new Parser(source);
    return { ok: true, template: { nodes: parser.parse(), weight: parser.weight } };
  } catch (error) {
    if (!(error instanceof ParseFault)) throw error;
    return { ok: false, reason: `${placeOf(source, error.at)}: ${error.message}` };
  }
}

class Parser {
  weight = 0;
  readonly #source: string;
  readonly #root: TemplateNode[] = [];
  readonly #open: OpenBlock[] = [];
  #tags = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): readonly TemplateNode[] {
    const source = this.#source;
    let at = 0;
    for (;;) {
      const start = source.indexOf('{{', at);
      if (start < 0) break;
      if (++this.#tags > MAX_TAGS) throw new ParseFault(start, `more than ${MAX_TAGS} tags`);
      if (start > at && source.charAt(start - 1) === '\\') {
        this.#text(`${source.slice(at, start - 1)}{{`);
        at = start + 2;
        continue;
      }
      const { content, end, isRaw } = this.#tag(start);
      const line = isRaw || !takesItsLine(content) ? undefined : lineAround(source, { at, start, end });
      this.#text(source.slice(at, line?.start ?? start));
      if (isRaw) this.#value(start, content, true);
      else this.#use(start, content);
      at = line?.end ?? end;
    }
    this.#text(source.slice(at));
    const unclosed = this.#open.at(-1);
    if (unclosed) throw new ParseFault(unclosed.at, `\`${unclosed.name}\` is never closed`);
    return this.#root;
  }

  #tag(start: number): { readonly content: string; readonly end: number; readonly isRaw: boolean } {
    const source = this.#source;
    const isRaw = source.charAt(start + 2) === '{';
    const isLongComment = source.startsWith('!--', start + 2);
    const close = isRaw ? '}}}' : isLongComment ? '--}}' : '}}';
    const from = start + (isRaw ? 3 : 2);
    const to = source.indexOf(close, isLongComment ? from + 3 : from);
    if (to < 0) throw new ParseFault(start, 'the tag is never closed');
    const isComment = source.charAt(from) === '!';
    if (to - from > MAX_TAG_CHARACTERS && !isComment) {
      throw new ParseFault(start, `the tag is longer than ${MAX_TAG_CHARACTERS} characters`);
    }
    const content = isComment ? '!' : source.slice(from, to).trim();
    return { content, end: to + close.length, isRaw };
  }

  #use(at: number, content: string): void {
    const sign = content.charAt(0);
    const rest = content.slice(1).trim();
    if (sign === '#') this.#openBlock(at, rest);
    else if (sign === '^') this.#push(at, { type: 'unless', path: pathOf(at, rest), name: rest });
    else if (sign === '/') this.#close(at, rest);
    else if (content === 'else') this.#else(at);
    else if (sign !== '!') this.#value(at, content, false);
  }

  #openBlock(at: number, text: string): void {
    const keyword = KEYWORD_BLOCK.exec(text);
    const [, type = '', path = ''] = keyword ?? [];
    if (type === 'if' || type === 'unless' || type === 'each') {
      this.#push(at, { type, path: pathOf(at, path), name: type });
    } else this.#push(at, { type: 'section', path: pathOf(at, text), name: text });
  }

  #push(at: number, block: Pick<OpenBlock, 'type' | 'path' | 'name'>): void {
    if (this.#open.length === MAX_DEPTH)
      throw new ParseFault(at, `more than ${MAX_DEPTH} blocks in each other`);
    this.#open.push({ ...block, at, body: [], otherwise: [], hasElse: false });
  }

  #else(at: number): void {
    const block = this.#open.at(-1);
    if (!block || block.hasElse) throw new ParseFault(at, '`else` belongs to no block');
    block.hasElse = true;
  }

  #close(at: number, name: string): void {
    const block = this.#open.pop();
    if (!block) throw new ParseFault(at, 'nothing is open that could be closed');
    if (block.name !== name) {
      throw new ParseFault(at, `\`${block.name}\` has to be closed before \`${name}\``);
    }
    const { type, path, body, otherwise } = block;
    this.#add({ kind: 'block', type, path, body, otherwise });
  }

  #value(at: number, content: string, isRaw: boolean): void {
    const bar = content.indexOf('|');
    const path = pathOf(at, bar < 0 ? content : content.slice(0, bar).trim());
    const fallback = bar < 0 ? {} : { fallback: content.slice(bar + 1).trim() };
    this.#add({ kind: 'value', path, isRaw, ...fallback });
  }

  #text(text: string): void {
    if (text !== '') this.#add({ kind: 'text', text, sizeBytes: Buffer.byteLength(text) });
  }

  #add(node: TemplateNode): void {
    this.weight += NODE_WEIGHT + (node.kind === 'text' ? 2 * node.text.length : 0);
    const block = this.#open.at(-1);
    const list = block ? (block.hasElse ? block.otherwise : block.body) : this.#root;
    list.push(node);
  }
}

function pathOf(at: number, text: string): Path {
  const unsupported = UNSUPPORTED[text.charAt(0)];
  if (unsupported !== undefined) throw new ParseFault(at, unsupported);
  if (text === '.') return { text, parts: ['this'] };
  const parts = text.split('.');
  const [head = '', ...members] = parts;
  const isName = NAME.test(head) || (LOOP_NAMES.has(head) && members.length === 0);
  if (!isName || !members.every((part) => MEMBER.test(part)) || parts.length > MAX_PATH_PARTS) {
    throw new ParseFault(at, text === '' ? 'the tag names nothing' : 'this is not the name of a variable');
  }
  return { text, parts };
}

function takesItsLine(content: string): boolean {
  return content === 'else' || ['#', '^', '/', '!'].includes(content.charAt(0));
}

/** A block's tag that is alone on its line takes the line with it, as in Mustache and Handlebars. */
function lineAround(
  source: string,
  tag: { readonly at: number; readonly start: number; readonly end: number },
): { readonly start: number; readonly end: number } | undefined {
  let { start, end } = tag;
  while (start > tag.at && isSpace(source.charAt(start - 1))) start--;
  if (start > 0 && source.charAt(start - 1) !== '\n') return undefined;
  while (isSpace(source.charAt(end))) end++;
  if (end === source.length) return { start, end };
  if (source.startsWith('\r\n', end)) return { start, end: end + 2 };
  return source.charAt(end) === '\n' ? { start, end: end + 1 } : undefined;
}

function isSpace(character: string): boolean {
  return character === ' ' || character === '\t';
}

function placeOf(source: string, at: number): string {
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  return `line ${line}, column ${at - before.lastIndexOf('\n')}`;
}
