/**
 * What each method of the official SDK does here. `test/sdk-table.test.ts` compares the names with the SDK's own,
 * and `test/system/sdk-calls.test.ts` calls every one that works.
 */
export type Support =
  | { readonly status: 'works'; readonly note?: string }
  | { readonly status: 'later'; readonly note?: string }
  | { readonly status: 'refused'; readonly because: string };

const works: Support = { status: 'works' };
const later: Support = { status: 'later' };

const worksBut = (note: string): Support => ({ status: 'works', note });
const laterWith = (note: string): Support => ({ status: 'later', note });
const refused = (because: string): Support => ({ status: 'refused', because });

const noInbox = refused('a relay sends; reading and answering mail is the work of a mailbox');
const noWorkflows = refused('what is sent when is decided by your back end, which calls this API');
const noRequestLog = refused(
  'requests hold addresses and texts, and are kept nowhere but sealed in the ledger',
);
const noOauth = refused('there are API keys, and nobody else to grant access to');
const incoming = laterWith('with incoming mail');

export const SDK_SUPPORT: Readonly<Record<string, Support>> = {
  'apiKeys.create': worksBut('more fields of our own: see accounts.md'),
  'apiKeys.list': works,
  'apiKeys.remove': works,
  'apiKeys.update': works,

  'audiences.create': works,
  'audiences.get': works,
  'audiences.list': works,
  'audiences.remove': works,
  'audiences.update': works,

  'automations.create': noWorkflows,
  'automations.duplicate': noWorkflows,
  'automations.get': noWorkflows,
  'automations.list': noWorkflows,
  'automations.remove': noWorkflows,
  'automations.runs.get': noWorkflows,
  'automations.runs.list': noWorkflows,
  'automations.stop': noWorkflows,
  'automations.update': noWorkflows,

  'batch.create': worksBut('also with attachments and `scheduledAt`'),
  'batch.send': worksBut('also with attachments and `scheduledAt`'),

  'broadcasts.cancel': worksBut('one that has not begun is a draft again'),
  'broadcasts.clickedLinks': laterWith('clicks are not tracked'),
  'broadcasts.create': worksBut('and `template`, of our own: see broadcasts.md'),
  'broadcasts.duplicate': works,
  'broadcasts.get': worksBut('with `progress` beside, and more states than the SDK knows'),
  'broadcasts.list': works,
  'broadcasts.recipients': worksBut('by `sent`, `delivered`, `bounced` and `suppressed`'),
  'broadcasts.remove': worksBut('also one that is over'),
  'broadcasts.send': works,
  'broadcasts.update': works,

  'contactProperties.create': worksBut('and `is_filterable`, of our own: see lists.md'),
  'contactProperties.get': works,
  'contactProperties.list': works,
  'contactProperties.remove': works,
  'contactProperties.update': works,
  'contacts.create': worksBut('one whose address is there already is changed'),
  'contacts.get': works,
  'contacts.imports.create': worksBut('up to 90 MiB; the lines that were refused can be read'),
  'contacts.imports.get': works,
  'contacts.imports.list': works,
  'contacts.list': worksBut('also by address or domain: see lists.md'),
  'contacts.remove': works,
  'contacts.segments.add': works,
  'contacts.segments.list': works,
  'contacts.segments.remove': works,
  'contacts.topics.list': works,
  'contacts.topics.update': works,
  'contacts.update': works,

  delete: works,

  'domains.claims.create': refused('the operator of the deployment vouches for domains'),
  'domains.claims.get': refused('the operator of the deployment vouches for domains'),
  'domains.claims.verify': refused('the operator of the deployment vouches for domains'),
  'domains.create': worksBut('`records` is empty: the operator vouches for a domain'),
  'domains.get': works,
  'domains.list': works,
  'domains.remove': works,
  'domains.update': laterWith('its fields are about tracking, which is not built'),
  'domains.verify': laterWith('until then the operator vouches for a domain'),

  'emails.attachments.get': works,
  'emails.attachments.list': works,
  'emails.cancel': works,
  'emails.create': works,
  'emails.get': worksBut('with `deliveries` and `timeline` beside'),
  'emails.list': worksBut('with filters of our own: see reading-back.md'),
  'emails.metrics': later,
  'emails.receiving.attachments.get': incoming,
  'emails.receiving.attachments.list': incoming,
  'emails.receiving.forward': incoming,
  'emails.receiving.get': incoming,
  'emails.receiving.list': incoming,
  'emails.send': worksBut('with `topicId` there is one recipient; attachments by `path` are refused'),
  'emails.share': refused('a link that shows a message to whoever has it is against the promise of privacy'),
  'emails.update': works,

  'events.create': noWorkflows,
  'events.get': noWorkflows,
  'events.list': noWorkflows,
  'events.remove': noWorkflows,
  'events.send': noWorkflows,
  'events.update': noWorkflows,

  fetchRequest: worksBut('it adds no key, here or elsewhere: give it in `headers`'),
  get: works,

  'inboxes.agent.get': noInbox,
  'inboxes.agent.update': noInbox,
  'inboxes.create': noInbox,
  'inboxes.drafts.create': noInbox,
  'inboxes.drafts.get': noInbox,
  'inboxes.drafts.list': noInbox,
  'inboxes.drafts.remove': noInbox,
  'inboxes.drafts.send': noInbox,
  'inboxes.drafts.update': noInbox,
  'inboxes.get': noInbox,
  'inboxes.labels.create': noInbox,
  'inboxes.labels.list': noInbox,
  'inboxes.labels.remove': noInbox,
  'inboxes.labels.update': noInbox,
  'inboxes.list': noInbox,
  'inboxes.remove': noInbox,
  'inboxes.threads.emails.forward': noInbox,
  'inboxes.threads.emails.get': noInbox,
  'inboxes.threads.emails.list': noInbox,
  'inboxes.threads.emails.reply': noInbox,
  'inboxes.threads.get': noInbox,
  'inboxes.threads.labels.add': noInbox,
  'inboxes.threads.labels.remove': noInbox,
  'inboxes.threads.labels.set': noInbox,
  'inboxes.threads.list': noInbox,
  'inboxes.threads.remove': noInbox,
  'inboxes.threads.search': noInbox,
  'inboxes.threads.update': noInbox,
  'inboxes.update': noInbox,

  'logs.get': noRequestLog,
  'logs.list': noRequestLog,
  'oauthGrants.list': noOauth,
  'oauthGrants.revoke': noOauth,

  patch: works,
  post: works,
  put: refused('no route takes PUT with an API key'),

  'segments.create': worksBut('and `filter` and `double_opt_in`, of our own: see lists.md'),
  'segments.get': works,
  'segments.list': works,
  'segments.remove': works,
  'segments.update': works,

  'suppressions.add': works,
  'suppressions.batch.add': works,
  'suppressions.batch.remove': works,
  'suppressions.get': works,
  'suppressions.list': works,
  'suppressions.remove': works,

  'topics.create': works,
  'topics.get': works,
  'topics.list': works,
  'topics.remove': works,
  'topics.update': works,
  'templates.create': works,
  'templates.duplicate': works,
  'templates.get': works,
  'templates.list': works,
  'templates.publish': works,
  'templates.remove': works,
  'templates.update': works,

  'usage.get': laterWith('quotas and their use stand in `GET /v1/account`'),

  'webhooks.create': works,
  'webhooks.events.attempts.list': works,
  'webhooks.events.get': works,
  'webhooks.events.list': works,
  'webhooks.events.replay': works,
  'webhooks.get': works,
  'webhooks.list': works,
  'webhooks.remove': works,
  'webhooks.rotateSigningSecret': works,
  'webhooks.update': works,
  'webhooks.verify': worksBut('in the SDK itself, on what is sent from here'),
};
