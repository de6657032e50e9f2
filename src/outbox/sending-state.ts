/**
 * What the pump may act on: the account's status, keys and relays, read from D1 in one round trip and good
 * for ten seconds. Where D1 does not answer, nothing is sent: mail waits, it is never sent unchecked.
 */
import { unwrapDataKey } from '../crypto/data-key.ts';
import { type SealingKey, unseal } from '../crypto/seal.ts';
import { type Env, settingsOf } from '../env.ts';
import { parseRelayUrl } from '../smtp/relay-url.ts';
import type { Credentials, RelayAddress } from '../smtp/types.ts';
import { type AccountScope, scopeOfOutbox } from '../store/db.ts';
import {
  findSendingState,
  type RelayLimits,
  type RelayRecord,
  type WebhookRecord,
} from '../store/sending-state.ts';
import { findSuppressedHashes } from '../store/suppressions.ts';
import { checkRelayHost } from '../web/relay-host.ts';
import { type Retention, retentionInForce } from './retention.ts';
import { SuppressionCheck } from './suppression-check.ts';
import { unwantedCheck } from './unwanted-recipients.ts';

export const DEFAULT_RELAY_ID = 'default';

export interface SendingRelay {
  readonly id: string;
  readonly version: number;
  readonly address: RelayAddress;
  readonly credentials?: Credentials;
  readonly priority: number;
  readonly weight: number;
  readonly fromDomains: readonly string[];
  readonly limits: RelayLimits;
}

export interface SendingState {
  readonly active: boolean;
  readonly inDoubtPolicy: 'retry' | 'hold';
  readonly keys: readonly SealingKey[];
  readonly relays: readonly SendingRelay[];
  readonly hasSuppressions: boolean;
  /** Their secrets are sealed. */
  readonly webhooks: readonly WebhookRecord[];
}

export class SendingStateReader {
  private readonly env: Env;
  private readonly accountId: string;
  private readonly onRetention: ((kept: Retention) => void) | undefined;
  readonly suppressions: SuppressionCheck;
  readonly unwanted: SuppressionCheck;
  private lastKeys: readonly SealingKey[] = [];
  private known: { state: SendingState; readAtMs: number } | undefined;
  private timesForgotten = 0;

  /** `onRetention` is told what the account keeps each time that it is read. */
  constructor(env: Env, accountId: string, onRetention?: (kept: Retention) => void) {
    this.env = env;
    this.onRetention = onRetention;
    this.accountId = accountId;
    this.suppressions = new SuppressionCheck(
      (hashes) => findSuppressedHashes(this.scope, hashes),
      settingsOf(env).SENDING_STATE_TTL_MS,
    );
    this.unwanted = unwantedCheck(() => this.scope, settingsOf(env).SENDING_STATE_TTL_MS);
  }

  /** The rows of the object's own account. */
  get scope(): AccountScope {
    return scopeOfOutbox(this.env.DB, this.accountId);
  }

  /** For what others are told with it. Whoever needs the state itself reads it again, and hears of faults. */
  async tell(): Promise<void> {
    await this.read().catch(() => {});
  }

  /** Throws where D1 does. */
  async read(): Promise<SendingState> {
    const settings = settingsOf(this.env);
    const nowMs = Date.now();
    if (this.known && nowMs - this.known.readAtMs < settings.SENDING_STATE_TTL_MS) return this.known.state;
    const { timesForgotten } = this;
    const found = await findSendingState(this.scope);
    const keys = (found?.dataKeys ?? []).map((key) =>
      unwrapDataKey(settings.MASTER_KEYS, this.accountId, key),
    );
    const own = (found?.relays ?? []).flatMap((record) => this.relayOf(record, keys));
    const state = {
      active: found?.accountStatus === 'active',
      inDoubtPolicy: found?.inDoubtPolicy ?? 'retry',
      keys,
      hasSuppressions: found?.hasSuppressions ?? false,
      relays: found && found.relays.length > 0 ? own : this.defaultRelay(),
      webhooks: found?.webhooks ?? [],
    };
    this.lastKeys = keys;
    // What was asked before a change is answered, and not remembered.
    if (timesForgotten !== this.timesForgotten) return state;
    this.known = { state, readAtMs: nowMs };
    if (found) this.onRetention?.(retentionInForce(settings, found.retention));
    return state;
  }

  /** Keys as last read. They do not expire: a verdict must be written down also while D1 is away. */
  get keys(): readonly SealingKey[] {
    return this.lastKeys;
  }

  forget(): void {
    this.known = undefined;
    this.timesForgotten++;
  }

  /** Checked again here, because the deployment's rules may have become stricter since the relay was saved. */
  private relayOf(record: RelayRecord, keys: readonly SealingKey[]): SendingRelay[] {
    const { ALLOW_PRIVATE_RELAYS, ALLOW_PLAINTEXT_RELAYS } = settingsOf(this.env);
    const host = checkRelayHost(record.host, { allowPrivate: ALLOW_PRIVATE_RELAYS });
    if (!host.ok || (record.tls === 'none' && !ALLOW_PLAINTEXT_RELAYS)) return [];
    const relay = {
      id: record.id,
      version: record.version,
      address: { host: host.host, port: record.port, tls: record.tls },
      priority: record.priority,
      weight: record.weight,
      fromDomains: record.fromDomains,
      limits: record.limits,
    };
    if (record.username === undefined || !record.sealedSecret) return [relay];
    const place = { accountId: this.accountId, table: 'relays', column: 'sealed_secret', rowId: record.id };
    const secret = new TextDecoder().decode(unseal(keys, place, record.sealedSecret));
    return [{ ...relay, credentials: { username: record.username, secret, method: record.auth } }];
  }

  private defaultRelay(): SendingRelay[] {
    const { RELAY_URL, ALLOW_PLAINTEXT_RELAYS } = settingsOf(this.env);
    const parsed = RELAY_URL === undefined ? undefined : parseRelayUrl(RELAY_URL);
    if (!parsed || (parsed.tls === 'none' && !ALLOW_PLAINTEXT_RELAYS)) return [];
    const { credentials, ...address } = parsed;
    const routing = { priority: 0, weight: 1, fromDomains: [], limits: {} };
    return [
      { id: DEFAULT_RELAY_ID, version: 0, address, ...routing, ...(credentials ? { credentials } : {}) },
    ];
  }
}
