/**
 * The links by which somebody ends what he gets: for the header of a message, where mail programs look for it, and
 * for its text. Whoever has the message has the link, and the link needs no login and never expires.
 */
import { sealToken } from '../crypto/lasting-token.ts';
import type { SealingKey } from '../crypto/seal.ts';
import { type Env, settingsOf } from '../env.ts';
import type { LINK_VARIABLES } from '../render/template-variables.ts';
import { openLastingToken } from './link-token.ts';
import type { ServiceContext } from './service-context.ts';

/** Whom a message went to, and about what. */
export interface MailedTo {
  /** Canonical. It is sealed into the link, for people who are no contacts, or are none any more. */
  readonly address: string;
  readonly contactId?: string | undefined;
  /** What the link ends; all mail to lists where there is none. */
  readonly topicId?: string | undefined;
  /** The email or the broadcast. */
  readonly sourceId?: string | undefined;
}

export interface ReaderLinks {
  /** Shows a button, and ends the subscription by a POST. */
  readonly url: string;
  /** Shows all topics. */
  readonly preferencesUrl: string;
}

export interface UnsubscribeLinks extends ReaderLinks {
  readonly token: string;
  /** For the message, as RFC 8058 has them. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

export interface LinkHolder {
  readonly context: ServiceContext;
  readonly mailedTo: MailedTo;
  /** As it stands in the link. */
  readonly token: string;
}

const PURPOSE = 'unsubscribe';

/** `keys`: the account's, the oldest first. `origin`: where this deployment is reached, as in `ServiceContext`. */
export function unsubscribeLinks(
  keys: readonly SealingKey[],
  accountId: string,
  origin: string,
  { contactId = '', topicId = '', sourceId = '', address }: MailedTo,
): UnsubscribeLinks {
  const token = sealToken(keys, PURPOSE, accountId, [contactId, topicId, sourceId, address].join());
  const url = `${origin}/u/${token}`;
  return {
    token,
    url,
    preferencesUrl: `${origin}/preferences/${token}`,
    headers: [
      { name: 'List-Unsubscribe', value: `<${url}>` },
      { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
    ],
  };
}

/** What they are called in a template. */
export function linkValues({
  url,
  preferencesUrl,
}: ReaderLinks): Readonly<Record<(typeof LINK_VARIABLES)[number], string>> {
  return {
    unsubscribe_url: url,
    preferences_url: preferencesUrl,
    UNSUBSCRIBE_URL: url,
    RESEND_UNSUBSCRIBE_URL: url,
  };
}

/** undefined where the link is not ours, or its account is gone. */
export async function openUnsubscribeLink(
  env: Env,
  token: string,
  requestId: string,
): Promise<LinkHolder | undefined> {
  const opened = await openLastingToken(env, PURPOSE, token);
  if (!opened) return undefined;
  const [contactId, topicId, sourceId, ...address] = opened.text.split(',');
  return {
    context: { env, scope: opened.scope, actor: { kind: 'recipient' }, requestId },
    mailedTo: {
      contactId: contactId || undefined,
      topicId: topicId || undefined,
      sourceId: sourceId || undefined,
      address: address.join(),
    },
    token,
  };
}

/** Where links lead; undefined where neither the settings nor a request say it. */
export function originOf({ env, origin }: ServiceContext): string | undefined {
  return origin ?? settingsOf(env).PUBLIC_URL;
}
