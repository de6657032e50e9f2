/** The links that readers of mail get, out of the mail as it would be sent or was sent. */
import { call, jsonOf, type TestAccount, textAt } from './control-plane.ts';

/** The header of an email that is not sent. */
export async function dryRunHeader(account: TestAccount, email: object): Promise<string> {
  const response = await call('/v1/emails?dry_run=true', { key: account.key, body: email });
  const body = await jsonOf(response);
  if (response.status !== 200) throw new Error(`a dry run answered ${JSON.stringify(body)}`);
  const mime = Buffer.from(textAt(body, 'mime_base64'), 'base64').toString();
  return (mime.split('\r\n\r\n')[0] ?? '').replace(/\r\n[ \t]+/g, ' ');
}

/** The path of the link by which its recipient would unsubscribe. */
export async function unsubscribePath(account: TestAccount, email: object): Promise<string> {
  const header = await dryRunHeader(account, email);
  const url = /^List-Unsubscribe: <([^>]+)>$/m.exec(header)?.[1];
  if (url === undefined) throw new Error(`no link in ${header}`);
  return new URL(url).pathname;
}

/** How many mails went to the address, and the link to confirm in the newest. */
export async function confirmationsTo(
  account: TestAccount,
  address: string,
): Promise<{ readonly count: number; readonly path: string; readonly id: string }> {
  const page = await jsonOf(await call('/v1/emails?limit=100', { key: account.key }));
  const own = (page.data as readonly { id: string; to: string[] }[]).filter(({ to }) => to.includes(address));
  const id = own[0]?.id ?? '';
  if (id === '') return { count: 0, path: '', id };
  const { text } = await jsonOf(await call(`/v1/emails/${id}`, { key: account.key }));
  const url = /^https?:\/\/\S+\/join\/\S+$/m.exec(String(text))?.[0];
  return { count: own.length, path: url === undefined ? '' : new URL(url).pathname, id };
}
