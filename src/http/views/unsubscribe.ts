/** The pages behind the links by which readers end their mail, or choose it. They name nobody. */
import { html } from 'hono/html';
import type { Language } from '../../services/languages.ts';
import type { Reader, ReaderTopic } from '../../services/unsubscribe.ts';
import type { Page } from './page.ts';
import { READER_TEXTS } from './reader-texts.ts';

export interface Frame {
  readonly language: Language;
  /** Of the link that led here, as a segment of a path. */
  readonly token: string;
}

export function invalidPage(language: Language): Page {
  const texts = READER_TEXTS[language];
  return { language, title: texts.invalid, body: html`<p>${texts.invalidText}</p>` };
}

export function askingPage({ language, token }: Frame, { topic }: Reader): Page {
  const texts = READER_TEXTS[language];
  const question = topic ? texts.askAboutTopic(topic.name) : texts.askAboutAll;
  return {
    language,
    title: texts.unsubscribe,
    // The field is what RFC 8058 has a mail program send.
    body: html`<p>${question}</p>
<form method="post" action="/u/${token}">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">${texts.unsubscribe}</button>
</form>
${preferencesLink({ language, token })}`,
  };
}

/** The same for every link, whatever it was good for. */
export function unsubscribedPage({ language, token }: Frame): Page {
  const texts = READER_TEXTS[language];
  return {
    language,
    title: texts.unsubscribed,
    body: html`<p>${texts.unsubscribedText}</p>
<form method="post" action="/u/${token}/undo">
<p>${texts.byMistake}</p>
<button type="submit" class="plain">${texts.subscribeAgain}</button>
</form>
${preferencesLink({ language, token })}`,
  };
}

export function subscribedPage({ language, token }: Frame): Page {
  const texts = READER_TEXTS[language];
  return {
    language,
    title: texts.subscribed,
    body: html`<p>${texts.subscribedText}</p>
${preferencesLink({ language, token })}`,
  };
}

export function preferencesPage(
  { language, token }: Frame,
  {
    topics,
    isUnsubscribed,
    isSaved,
  }: {
    readonly topics: readonly ReaderTopic[];
    /** From everything. */
    readonly isUnsubscribed: boolean;
    readonly isSaved: boolean;
  },
): Page {
  const texts = READER_TEXTS[language];
  const note = isUnsubscribed ? texts.everythingEnded : isSaved ? texts.saved : undefined;
  const ending = html`<p>${texts.endEverythingText}</p>
<button type="submit" name="do" value="end" class="plain">${texts.endEverything}</button>`;
  return {
    language,
    title: texts.preferences,
    body: html`${note && html`<p role="status">${note}</p>`}
<form method="post" action="/preferences/${token}">
${topics.length > 0 ? topicFields(texts.chooseTopics, topics) : html`<p>${texts.noTopics}</p>`}
${
  (topics.length > 0 || isUnsubscribed) &&
  html`<button type="submit" name="do" value="save">${isUnsubscribed ? texts.saveAndSubscribe : texts.save}</button>`
}
${!isUnsubscribed && ending}
</form>`,
  };
}

function topicFields(legend: string, topics: readonly ReaderTopic[]) {
  return html`<fieldset>
<legend>${legend}</legend>
${topics.map(
  ({ id, name, description, isSubscribed }) => html`<div class="choice">
<input type="hidden" name="shown" value="${id}">
<input type="checkbox" name="topic" value="${id}" id="${id}"${isSubscribed && html` checked`}${
    description && html` aria-describedby="${id}-about"`
  }>
<label for="${id}">${name}</label>
${description && html`<p id="${id}-about">${description}</p>`}
</div>
`,
)}
</fieldset>`;
}

/** To the same person's topics, by the same link. */
export function preferencesLink({ language, token }: Frame) {
  return html`<p><a href="/preferences/${token}">${READER_TEXTS[language].toPreferences}</a></p>`;
}
