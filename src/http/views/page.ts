/**
 * The frame of a page that people see. No script, nothing from elsewhere, no form to anywhere else, no frame around
 * it, and its address is not given on to others.
 */
import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import type { AppContext } from '../app-types.ts';

export interface Page {
  /** English where it is not said. */
  readonly language?: string;
  readonly title: string;
  readonly body: HtmlEscapedString | Promise<HtmlEscapedString>;
}

const STYLE = `:root{color-scheme:light dark}
body{font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;margin:10vh auto;padding:0 1.25rem}
button{font:inherit;padding:.6em 1.4em;border:2px solid #0b57d0;border-radius:.4em;background:#0b57d0;color:#fff;cursor:pointer}
button.plain{background:transparent;border-color:currentColor;color:inherit}
button:focus-visible,a:focus-visible,input:focus-visible{outline:3px solid currentColor;outline-offset:3px}
h1{font-size:1.6em;line-height:1.2}
h1,p,label{overflow-wrap:anywhere}
a{color:inherit}
fieldset{border:1px solid;border-radius:.4em;margin:1.5em 0;padding:.5em 1em}
.choice{display:grid;grid-template-columns:auto 1fr;gap:0 .75em;align-items:center;padding:.6em 0}
.choice input{width:1.3em;height:1.3em;margin:0}
.choice p{grid-column:2;margin:0;opacity:.8;font-size:.95em}
[role=status]{border-left:.3em solid #0b57d0;padding:.2em 0 .2em .8em}`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${STYLE_HASH}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

export async function pageResponse(c: AppContext, page: Page, status: 200 | 400 = 200): Promise<Response> {
  c.header('content-security-policy', POLICY);
  c.header('referrer-policy', 'no-referrer');
  c.header('x-robots-tag', 'noindex');
  return c.html(
    await html`<!doctype html>
<html lang="${page.language ?? 'en'}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
<h1>${page.title}</h1>
${page.body}
</main>
</body>
</html>
`,
    status,
  );
}
