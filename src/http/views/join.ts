/** The pages behind the link by which somebody confirms that he wants to be on a list. */
import { html } from 'hono/html';
import type { Language } from '../../services/languages.ts';
import type { Page } from './page.ts';
import { READER_TEXTS } from './reader-texts.ts';
import { type Frame, preferencesLink } from './unsubscribe.ts';

export function joinInvalidPage(language: Language): Page {
  const texts = READER_TEXTS[language];
  return { language, title: texts.invalid, body: html`<p>${texts.joinInvalidText}</p>` };
}

/** A button, because programs that look into mail follow links, and do not press buttons. */
export function joinAskingPage({ language, token }: Frame, list: string): Page {
  const texts = READER_TEXTS[language];
  return {
    language,
    title: texts.join,
    body: html`<p>${texts.askToJoin(list)}</p>
<form method="post" action="/join/${token}">
<button type="submit">${texts.joinButton}</button>
</form>`,
  };
}

/** `unsubscribeToken`: by which the new member can choose, or leave again. */
export function joinedPage(language: Language, list: string, unsubscribeToken: string): Page {
  const texts = READER_TEXTS[language];
  return {
    language,
    title: texts.joined,
    body: html`<p>${texts.joinedText(list)}</p>
${preferencesLink({ language, token: unsubscribeToken })}`,
  };
}
