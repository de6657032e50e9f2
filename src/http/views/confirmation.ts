/** The pages behind the link that confirms an address. They name nobody. */
import { html } from 'hono/html';
import type { Page } from './page.ts';

/** A button, because programs that look into mail follow links, and do not press buttons. */
export function askingPage(token: string): Page {
  return {
    title: 'Confirm your address',
    body: html`<p>Press the button to confirm that you opened this account and that the address is yours.</p>
<form method="post" action="/confirm">
<input type="hidden" name="token" value="${token}">
<button type="submit">Confirm my address</button>
</form>`,
  };
}

export function confirmedPage(): Page {
  return {
    title: 'Your address is confirmed',
    body: html`<p>Your account can send now. You can close this page.</p>`,
  };
}

export function invalidPage(): Page {
  return {
    title: 'This link is not valid',
    body: html`<p>It may be too old, or the account has another address by now. Ask for another mail with your API key:
<code>POST /v1/account/resend-confirmation</code>.</p>`,
  };
}
