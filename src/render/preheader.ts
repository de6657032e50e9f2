/** The text that an inbox shows beside the subject: at the start of the body, and not shown in it. */
import { escapeHtml } from './escape-html.ts';
import { tokensOf } from './html-tokens.ts';

const STYLE = 'display:none;overflow:hidden;line-height:1px;opacity:0;max-height:0;max-width:0;mso-hide:all';

/** `text` is no HTML. */
export function withPreheader(html: string, text: string): string {
  if (text === '') return html;
  const at = startOfBody(html);
  return `${html.slice(0, at)}<div style="${STYLE}">${escapeHtml(text)}</div>${html.slice(at)}`;
}

/** Behind the tag of the body; where there is none, behind what must come before everything else. */
function startOfBody(html: string): number {
  let at = /^\s*<!doctype[^>]*>/i.exec(html)?.[0].length ?? 0;
  // Most have no tag to look for, or have it near the start.
  if (!/<(?:body|html|\/head)\b/i.test(html)) return at;
  for (const token of tokensOf(html)) {
    if (token.kind === 'text') continue;
    if (token.kind === 'open' && token.name === 'body') return token.end;
    if (token.name === (token.kind === 'open' ? 'html' : 'head')) at = token.end;
  }
  return at;
}
