/**
 * The way into the gate of a relay: what `outbox/` imports of this folder. Asked where a relay has limits or is
 * shared; a relay without limits that one outbox uses needs no call.
 */
import { type Env, settingsOf } from '../env.ts';

/** How long sessions stay reserved for a holder that is not heard of again. */
export const SESSION_LEASE_MS = 15_000;

export interface GateLimits {
  readonly sessions?: number;
  readonly perSecond?: number;
  readonly perMinute?: number;
  readonly perDay?: number;
}

export interface LeaseRequest {
  /** The outbox: `${accountId}/${shard}`. */
  readonly holder: string;
  readonly limits: GateLimits;
  /** Sessions wanted open at once, in all. */
  readonly sessions: number;
  /** Permits wanted for messages about to be sent, besides those still valid and not handed back. */
  readonly messages: number;
  /** Sessions open or opening now. Without it the gate assumes that all of the last lease still are. */
  readonly openSessions?: number;
  /** Permits of the last lease that were not used: handed back with this call. */
  readonly unused?: number;
  /** The relay's version: a newer one opens a closed relay, whose fault may be mended. */
  readonly version?: number;
}

export interface Lease {
  /** Sessions the holder may have open at once. Fewer than are open: close some after their message. */
  readonly sessions: number;
  /** Ask again before this, or the sessions are given to others. */
  readonly sessionsUntilMs: number;
  /** Permits to start that many messages until `validUntilMs`. */
  readonly messages: number;
  readonly validUntilMs: number;
  /** Where fewer were granted than wanted: when to ask again. */
  readonly retryAtMs?: number;
  /** The breaker is open: nothing is granted until then. */
  readonly closedUntilMs?: number;
  /** Half open: the holder may open one session and send one message to find out. */
  readonly probe?: boolean;
}

export interface GateFault {
  readonly reason: string;
  readonly code?: number;
  readonly retryAfterMs?: number;
  /** The version of the relay that failed: one that is outdated by now says nothing. */
  readonly version?: number;
}

export type BreakerState = 'closed' | 'half_open' | 'open';

export interface GateHealth {
  readonly breaker: BreakerState;
  readonly reopensAtMs?: number;
  readonly lastFault?: { readonly atMs: number; readonly reason: string; readonly code?: number };
  readonly openSessions: number;
  readonly grantedLastMinute: number;
}

/** The RPC surface of the Durable Object. */
export interface GateApi {
  lease(request: LeaseRequest): Promise<Lease>;
  /** The outbox is done: frees its sessions and takes permits back. */
  release(holder: string, unusedMessages: number): Promise<void>;
  /** The relay is at fault, not a message. `opened`: this fault opened the breaker, so tell the account. */
  reportFault(holder: string, fault: GateFault): Promise<{ closedUntilMs: number; opened: boolean }>;
  /** The relay said "try again in N": no messages until then, and fewer for a while; the breaker stays closed. */
  reportThrottle(holder: string, retryAfterMs: number): Promise<void>;
  /** The probe went through. `closed`: the breaker was open before. */
  reportSuccess(holder: string): Promise<{ closed: boolean }>;
  health(): Promise<GateHealth>;
}

/** `relayKey` is `${accountId}/${relayId}`, or `default` for the relay of the deployment. */
export function relayGateOf(env: Env, relayKey: string): GateApi {
  const { DATA_JURISDICTION: place } = settingsOf(env);
  const gates =
    place === 'none' ? env.RELAY_GATE : env.RELAY_GATE.jurisdiction(place as DurableObjectJurisdiction);
  return gates.getByName(relayKey) as unknown as GateApi;
}
