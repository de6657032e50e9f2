/**
 * Who asks, and what exists: two accounts with everything that belongs to one, and the ids that answers gave
 * out. Requests close accounts, and delete keys and domains; so accounts are replaced by new ones, after some
 * time or once their keys no longer work.
 */
import { ApiClient, openAccount } from '../support/api-client.ts';
import { ID, type Operation } from './operations.ts';
import type { Plan } from './requests.ts';
import { BROKEN_KEYS, type Sender, WRONG_KEYS } from './senders.ts';
import { ADDRESSES, LINK_KIND, type Namespace, replaceTokens, type Whose } from './tokens.ts';
import { SMTP_LOGIN } from './values.ts';

const KEPT_IDS = 200;
const KEPT_KEYS = 20;
/** So many requests of an account, or so many refusals of its key, and there is a new one. */
const ACCOUNT_REQUESTS = 1200;
const ACCOUNT_REFUSALS = 10;
const OPENING_ATTEMPTS = 5;

// biome-ignore lint/suspicious/noExplicitAny: answers were held against their description before
type Json = any;

/** Ids by kind; the oldest make room. */
class Ids {
  readonly #byKind = new Map<string, string[]>();

  add(kind: string, id: string): void {
    const ids = this.#byKind.get(kind) ?? [];
    if (ids.includes(id)) return;
    ids.push(id);
    if (ids.length > KEPT_IDS) ids.shift();
    this.#byKind.set(kind, ids);
  }

  remove(id: string): void {
    for (const [kind, ids] of this.#byKind)
      this.#byKind.set(
        kind,
        ids.filter((one) => one !== id),
      );
  }

  /** Of a state where there is one in it, else of the kind. */
  pick(kind: string, pick: number): string | undefined {
    for (const each of [kind, kind.slice(0, 3)]) {
      const ids = this.#byKind.get(each) ?? [];
      if (ids.length > 0) return ids[pick % ids.length];
    }
    return undefined;
  }
}

class Actor {
  readonly own = new Ids();
  readonly gone = new Ids();
  accountId = '';
  domain = 'none.example';
  key = '';
  sendingKey = '';
  /** Keys that requests made, of any account. */
  readonly madeKeys: string[] = [];
  requests = 0;
  refusals = 0;
  replacing: Promise<void> | undefined;
}

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  readonly chunked: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export class World {
  readonly #url: URL;
  readonly #adminToken: string;
  readonly #smtpPort: number;
  readonly #sinkUrl: string;
  readonly #owner = new Actor();
  readonly #other = new Actor();
  readonly #operator = new Actor();
  #closedKey = WRONG_KEYS[0] ?? '';
  #registeredKey = WRONG_KEYS[0] ?? '';
  #opened = 0;
  /** Of what was seen below `/collection/{id}`, that id. */
  readonly #parents = new Map<string, string>();

  constructor(options: { url: URL; adminToken: string; smtpPort: number; sinkUrl: string }) {
    this.#url = options.url;
    this.#adminToken = options.adminToken;
    this.#smtpPort = options.smtpPort;
    this.#sinkUrl = options.sinkUrl;
  }

  async open(): Promise<void> {
    await Promise.all([this.#replace(this.#owner), this.#replace(this.#other)]);
  }

  /** The request as it goes out, from what exists now. */
  async made(plan: Plan): Promise<Sent> {
    const actor = this.#actorOf(plan.sender);
    if (actor !== this.#operator && this.#isSpent(actor)) await this.#replace(actor);
    actor.requests++;
    const names = this.#namesFor(actor);
    const fill = (text: string) => replaceTokens(text, names);
    const path = fill(plan.path);
    const authorization = this.#authorizationOf(plan.sender, actor);
    return {
      method: plan.method,
      path: plan.path.includes('/~own.') ? this.#underItsParent(path) : path,
      headers: {
        ...Object.fromEntries(Object.entries(plan.headers).map(([name, value]) => [name, fill(value)])),
        ...(authorization !== undefined && { authorization }),
      },
      body: typeof plan.body === 'string' ? Buffer.from(fill(plan.body)) : plan.body,
      chunked: plan.chunked,
    };
  }

  /** Remembers what an answer tells of. */
  learn(operation: Operation, plan: Plan, { sent, answer }: { sent: Sent; answer: Answer }): void {
    const actor = this.#actorOf(plan.sender);
    if (answer.status === 401 || answer.status === 403) {
      if (plan.sender === 'owner' || plan.sender === 'other') actor.refusals++;
      return;
    }
    if (answer.status >= 300 || plan.method === 'HEAD') return;
    const text = answer.body.toString();
    const target = ID.exec(sent.path)?.[0];
    if (operation.method === 'DELETE' && plan.method === 'DELETE' && target !== undefined) {
      actor.own.remove(target);
      actor.gone.add(target.slice(0, 3), target);
      return;
    }
    if (operation.operationId === 'register') {
      this.#registeredKey = /"token":"(er_\w+)"/.exec(text)?.[1] ?? this.#registeredKey;
      return;
    }
    for (const [, key] of text.matchAll(/"token":"(er_[A-Za-z0-9_]+)"/g)) {
      if (key !== undefined) actor.madeKeys.push(key);
      if (actor.madeKeys.length > KEPT_KEYS) actor.madeKeys.shift();
    }
    this.#remember(actor, target, text);
    if (answer.headers['content-type'] === 'application/json') this.#rememberStates(actor, JSON.parse(text));
  }

  /** Ids and links; `target` is the id in the path that was asked. */
  #remember(actor: Actor, target: string | undefined, text: string): void {
    for (const [id] of text.matchAll(new RegExp(ID, 'g'))) {
      actor.own.add(id.slice(0, 3), id);
      if (target !== undefined && id !== target) this.#parents.set(id, target);
    }
    for (const [, token] of text.matchAll(/\/attachments\/([^"/]+)"/g)) actor.own.add(LINK_KIND, token ?? '');
  }

  /** Two ids that have nothing to do with each other would hardly ever be found. */
  #underItsParent(path: string): string {
    const [first, second] = path.match(new RegExp(ID, 'g')) ?? [];
    const parent = second === undefined ? undefined : this.#parents.get(second);
    return first === undefined || parent === undefined ? path : path.replace(first, parent);
  }

  #rememberStates(actor: Actor, body: { data?: unknown }): void {
    const { data, ...object } = body;
    for (const one of Array.isArray(data) ? data : [object as Json]) {
      if (typeof one?.id !== 'string') continue;
      if (one.id.startsWith('brd_') && typeof one.status === 'string') {
        actor.own.add(`brd-${one.status}`, one.id);
      }
      if (!one.id.startsWith('msg_')) continue;
      if (typeof one.last_event === 'string') actor.own.add(`msg-${one.last_event}`, one.id);
      for (const { status } of one.deliveries ?? []) actor.own.add(`msg-${status}`, one.id);
    }
  }

  /** What must be in no answer, besides the marks: the keys in use. */
  secrets(): string[] {
    return [
      this.#adminToken,
      this.#owner.key,
      this.#owner.sendingKey,
      this.#other.key,
      this.#other.sendingKey,
    ];
  }

  #actorOf(sender: Sender): Actor {
    if (sender === 'operator') return this.#operator;
    return sender === 'other' ? this.#other : this.#owner;
  }

  #authorizationOf(sender: Sender, actor: Actor): string | undefined {
    const turn = actor.requests;
    switch (sender) {
      case 'owner':
      case 'other':
        return `Bearer ${actor.key}`;
      case 'sending':
        return `Bearer ${actor.sendingKey}`;
      case 'made':
        return `Bearer ${actor.madeKeys[turn % Math.max(1, actor.madeKeys.length)] ?? actor.key}`;
      case 'registered':
        return `Bearer ${this.#registeredKey}`;
      case 'closed':
        return `Bearer ${this.#closedKey}`;
      case 'operator':
        return `Bearer ${this.#adminToken}`;
      case 'wrong':
        return WRONG_KEYS[turn % WRONG_KEYS.length];
      case 'broken':
        return BROKEN_KEYS[turn % BROKEN_KEYS.length];
      case 'none':
        return undefined;
    }
  }

  #namesFor(actor: Actor): Namespace {
    const foreign = actor === this.#owner ? this.#other : this.#owner;
    return {
      domain: actor.domain,
      idOf(whose: Whose, kind: string, pick: number) {
        const ids = { own: actor.own, other: foreign.own, gone: actor.gone }[whose];
        // One that could be, where there is none.
        return ids.pick(kind, pick) ?? `${kind.slice(0, 3)}_${String(pick).padStart(26, '0')}`;
      },
    };
  }

  #isSpent(actor: Actor): boolean {
    return actor.requests >= ACCOUNT_REQUESTS || actor.refusals >= ACCOUNT_REFUSALS;
  }

  #replace(actor: Actor): Promise<void> {
    actor.replacing ??= this.#openOneInto(actor).finally(() => {
      actor.replacing = undefined;
    });
    return actor.replacing;
  }

  /** The operator's requests run meanwhile: once the list of accounts told them of a new one, they may close it. */
  async #openOneInto(actor: Actor): Promise<void> {
    for (let attempt = 1; ; attempt++)
      try {
        return await this.#openInto(actor);
      } catch (error) {
        if (attempt === OPENING_ATTEMPTS || !String(error).includes('account_closed')) throw error;
      }
  }

  /** A domain, a relay, a key that may only send, and mail in states that take time to come about. */
  async #openInto(actor: Actor): Promise<void> {
    const operator = new ApiClient(this.#url, this.#adminToken);
    const old = { id: actor.accountId, key: actor.key };
    const domain = `fuzz${this.#opened++}.example`;
    const { username, secret: password } = SMTP_LOGIN;
    const { id, client } = await openAccount(this.#url, this.#adminToken, {
      domain,
      relay: { port: this.#smtpPort, username, password },
    });
    const key = await client.post('/v1/api-keys', { name: 'sends', permission: 'sending_access' });
    const mail = { from: `fuzz@${domain}`, subject: 'x', text: 'x', in_doubt_policy: 'hold' };
    const doubtful = await client.post(
      '/v1/emails/batch',
      Array.from({ length: 4 }, () => ({ ...mail, to: ADDRESSES.doubtful })),
    );
    if (doubtful.status !== 200) throw new Error(`no mail: ${JSON.stringify(doubtful.body)}`);
    for (const { id: messageId } of doubtful.body.data) {
      actor.own.add('msg', messageId);
      actor.own.add('msg-in_doubt', messageId);
    }
    const post = async (path: string, body: object) => {
      const { body: made } = await client.post(path, body);
      if (typeof made.id !== 'string') throw new Error(`${path}: ${JSON.stringify(made)}`);
      return made.id as string;
    };
    for (const scheduled_at of ['in 1 day', 'in 2 days', 'in 3 days', 'in 4 days']) {
      const later = await post('/v1/emails', { ...mail, to: ADDRESSES.accepted, scheduled_at });
      actor.own.add('msg-scheduled', later);
    }
    const file = { filename: 'a.txt', content: 'YQ==' };
    const withFile = await post('/v1/emails', { ...mail, to: ADDRESSES.accepted, attachments: [file] });
    const webhook = await post('/v1/webhooks', { endpoint: this.#sinkUrl });
    await client.post(`/v1/webhooks/${webhook}/test`);
    await post('/v1/suppressions', { email: 'nobody@example.net' });
    await post('/v1/contact-properties', { key: 'fuzz', type: 'string', is_filterable: true });
    const list = await post('/v1/lists', { name: 'x' });
    const topic = { id: await post('/v1/topics', { name: 'x', default_subscription: 'opt_in' }) };
    const chosen = [{ ...topic, subscription: 'opt_in' }];
    const draft = { list_id: list, from: `fuzz@${domain}`, subject: 'x', text: 'x' };
    for (let each = 0; each < 4; each++) {
      actor.own.add('brd-draft', await post('/v1/broadcasts', draft));
      const later = { ...draft, send: true, scheduled_at: 'in 5 days' };
      actor.own.add('brd-scheduled', await post('/v1/broadcasts', later));
    }
    const contact = { email: 'member@example.net', segments: [list], topics: chosen };
    const member = await post('/v1/contacts', contact);
    for (const path of [
      '/v1/relays',
      '/v1/domains',
      '/v1/api-keys',
      '/v1/suppressions',
      '/v1/webhooks',
      '/v1/contacts',
      '/v1/lists',
      '/v1/topics',
      '/v1/contact-properties',
      '/v1/broadcasts',
      `/v1/contacts/${member}/segments`,
      `/v1/emails/${withFile}/attachments`,
      `/v1/webhooks/${webhook}/events`,
    ]) {
      const { body } = await client.get(path);
      this.#remember(actor, ID.exec(path)?.[0], JSON.stringify(body));
    }
    Object.assign(actor, { accountId: id, domain, key: client.token, sendingKey: key.body.token });
    Object.assign(actor, { requests: 0, refusals: 0 });
    this.#operator.own.add('acc', id);
    if (old.id !== '') {
      await operator.post(`/v1/admin/accounts/${old.id}/close`);
      this.#closedKey = old.key;
    }
  }
}
