/** The parts of an email as templates: parsed once, rendered for any number of recipients. */
import { parseTemplate, type Template } from './parse-template.ts';
import { plainTextOf } from './plain-text.ts';
import { RenderBudget, type RenderOptions, type RequestBudget, renderTemplate } from './render-template.ts';

export interface EmailTemplateSource {
  readonly subject?: string | undefined;
  readonly html?: string | undefined;
  /** Made from the HTML where it is absent; empty: there is to be none. */
  readonly text?: string | undefined;
}

export type EmailPart = keyof EmailTemplateSource;

export type EmailTemplate = Readonly<Partial<Record<EmailPart, Template>>>;

export type ParsedEmailTemplate =
  | { readonly ok: true; readonly template: EmailTemplate }
  | { readonly ok: false; readonly field: EmailPart; readonly reason: string };

export type RenderedEmail = Readonly<Partial<Record<EmailPart, string>>>;

const PARTS: readonly EmailPart[] = ['subject', 'html', 'text'];

/** Finds what is wrong with a template before anybody is to be mailed. */
export function parseEmailTemplate(source: EmailTemplateSource): ParsedEmailTemplate {
  const template: Partial<Record<EmailPart, Template>> = {};
  for (const field of PARTS) {
    const text = source[field];
    if (text === undefined) continue;
    const parsed = parseTemplate(text);
    if (!parsed.ok) return { ok: false, field, reason: parsed.reason };
    template[field] = parsed.template;
  }
  return { ok: true, template };
}

/** Throws `RenderError`. A part that the template does not have is absent, but for the text of an HTML. */
export function renderEmailTemplate(
  template: EmailTemplate,
  data: unknown,
  missing: RenderOptions['missing'],
  request?: RequestBudget,
): RenderedEmail {
  const budget = new RenderBudget(request);
  const rendered: Partial<Record<EmailPart, string>> = {};
  for (const field of PARTS) {
    const part = template[field];
    if (part) rendered[field] = renderTemplate(part, data, { isHtml: field === 'html', missing, budget });
  }
  if (rendered.text === '') delete rendered.text;
  if (!template.text && rendered.html !== undefined) {
    const text = plainTextOf(rendered.html);
    // As long again as what it is made from: apart from the email's own bytes, but some of the request's.
    new RenderBudget(request).write(Buffer.byteLength(text));
    if (text !== '') rendered.text = text;
  }
  return rendered;
}
