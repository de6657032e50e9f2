/** The text of an HTML body, for readers that show none: paragraphs, lists and the addresses of links. */
import { decodeEntities } from './html-entities.ts';
import { type HtmlToken, tokensOf } from './html-tokens.ts';

/** Elements with an empty line around them, and those that only begin a line. */
const PARAGRAPHS = new Set([
  'p',
  'h1',
  'h2',
  'h3',
  'h4',
  'h5',
  'h6',
  'ul',
  'ol',
  'dl',
  'table',
  'blockquote',
  'pre',
  'hr',
  'figure',
]);
const LINES = new Set([
  'address',
  'article',
  'aside',
  'body',
  'center',
  'dd',
  'div',
  'dt',
  'figcaption',
  'footer',
  'form',
  'header',
  'html',
  'li',
  'main',
  'nav',
  'section',
  'tbody',
  'tfoot',
  'thead',
  'tr',
]);
/** Lists deeper than this are not indented further. */
const MAX_INDENT = 4;
const RULE = '---';

export function plainTextOf(html: string): string {
  const writer = new TextWriter();
  for (const token of tokensOf(html)) writer.take(token);
  return writer.end();
}

class TextWriter {
  readonly #pieces: string[] = [];
  /** The number of each open ordered list; of another list, nothing. */
  readonly #lists: (number | undefined)[] = [];
  /** The open link, and where its text begins. One at most: no text is then looked at for two of them. */
  #link: { readonly href: string; readonly from: number } | undefined;
  /** Line breaks that are due before the next text. */
  #breaks = 0;
  #isSpaceDue = false;
  #isEmpty = true;
  #isInHead = false;
  #pre = 0;

  take(token: HtmlToken): void {
    if (token.kind === 'text') {
      if (!this.#isInHead) this.#text(decodeEntities(token.text));
    } else if (token.kind === 'open') this.#open(token.name, token.attributes);
    else this.#close(token.name);
  }

  end(): string {
    return this.#pieces.join('');
  }

  #open(name: string, attributes: ReadonlyMap<string, string>): void {
    if (name === 'head') this.#isInHead = true;
    else if (name === 'body') this.#isInHead = false;
    if (this.#isInHead) return;
    if (name === 'br') this.#lineBreak();
    else if (name === 'hr') {
      this.#block(name);
      this.#write(RULE);
      this.#block(name);
    } else if (name === 'img') this.#text(decodeEntities(attributes.get('alt') ?? ''));
    else if (name === 'a') {
      // As in a browser: a link within a link ends it.
      this.#endLink();
      const href = decodeEntities(attributes.get('href') ?? '').trim();
      this.#link = { href, from: this.#pieces.length };
    } else if (name === 'td' || name === 'th') this.#isSpaceDue = true;
    else {
      if (name === 'ul') this.#lists.push(undefined);
      else if (name === 'ol') this.#lists.push(0);
      // A list within a list has no empty line before it.
      this.#block(name);
      if (name === 'li') this.#item();
      else if (name === 'pre') this.#pre++;
    }
  }

  #close(name: string): void {
    if (name === 'head') this.#isInHead = false;
    else if (name === 'a') this.#endLink();
    else if (name === 'pre') this.#pre = Math.max(0, this.#pre - 1);
    this.#block(name);
    if (name === 'ul' || name === 'ol') this.#lists.pop();
  }

  #item(): void {
    const depth = this.#lists.length - 1;
    const number = this.#lists[depth];
    if (number !== undefined) this.#lists[depth] = number + 1;
    this.#write(
      `${'  '.repeat(Math.min(Math.max(depth, 0), MAX_INDENT))}${number === undefined ? '-' : `${number + 1}.`} `,
    );
  }

  /** The address behind the words, unless the words are the address. */
  #endLink(): void {
    const link = this.#link;
    this.#link = undefined;
    if (!link || !/^(?:https?|mailto|tel):/i.test(link.href)) return;
    // Only as many words as could be the address.
    const words = this.#pieces
      .slice(link.from, link.from + 8)
      .join('')
      .trim();
    const address = link.href.replace(/^(?:mailto|tel):/i, '');
    if (words === link.href || words === address) return;
    const isSpaceDue = this.#isSpaceDue;
    this.#text(words === '' ? address : ` (${address})`);
    this.#isSpaceDue ||= isSpaceDue;
  }

  #block(name: string): void {
    if (PARAGRAPHS.has(name)) this.#breaks = Math.max(this.#breaks, this.#lists.length > 1 ? 1 : 2);
    else if (LINES.has(name)) this.#breaks = Math.max(this.#breaks, 1);
  }

  #lineBreak(): void {
    // Two at most: one empty line.
    this.#breaks = Math.min(this.#breaks + 1, 2);
  }

  #text(text: string): void {
    if (this.#pre > 0) this.#preformatted(text);
    else this.#words(text);
  }

  #words(text: string): void {
    const words = text.split(/[ \t\r\n\f]+/);
    words.forEach((word, index) => {
      if (index > 0) this.#isSpaceDue = true;
      if (word !== '') this.#write(word.replaceAll('\u00a0', ' '));
    });
  }

  #preformatted(text: string): void {
    text.split(/\r?\n/).forEach((line, index) => {
      if (index > 0) this.#breaks++;
      if (line !== '') this.#write(line);
    });
  }

  #write(text: string): void {
    if (!this.#isEmpty && this.#breaks > 0) this.#pieces.push('\n'.repeat(this.#breaks));
    else if (!this.#isEmpty && this.#isSpaceDue && !this.#endsInSpace()) this.#pieces.push(' ');
    this.#pieces.push(text);
    this.#breaks = 0;
    this.#isSpaceDue = false;
    this.#isEmpty = false;
  }

  #endsInSpace(): boolean {
    return this.#pieces.at(-1)?.endsWith(' ') ?? false;
  }
}
