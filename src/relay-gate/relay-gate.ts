/**
 * RelayGate: one Durable Object for each relay that several outboxes share or that has limits. A thin shell around
 * `GateState`: clock, chance and storage. What a method saves is durable before its answer leaves (output gate).
 */
import { DurableObject } from 'cloudflare:workers';
import { type Env, settingsOf } from '../env.ts';
import type { GateApi, GateFault, GateHealth, Lease, LeaseRequest } from './client.ts';
import { GateState, type SavedGate } from './gate-state.ts';

const STATE_KEY = 'gate';
/** A relay that is down is looked at again at least this often. */
const MAX_CLOSED_MS = 15 * 60_000;

export class RelayGate extends DurableObject<Env> implements GateApi {
  private readonly state: GateState;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { RETRY_FIRST_MS, RETRY_MAX_MS } = settingsOf(env);
    const settings = { firstMs: RETRY_FIRST_MS, maxMs: Math.min(RETRY_MAX_MS, MAX_CLOSED_MS) };
    this.state = new GateState(settings, ctx.storage.kv.get<SavedGate>(STATE_KEY), Date.now());
  }

  async lease(request: LeaseRequest): Promise<Lease> {
    const lease = this.state.lease(request, Date.now());
    this.stayWhileLeased();
    return this.saved(lease);
  }

  async release(holder: string, unusedMessages: number): Promise<void> {
    this.state.release(holder, unusedMessages, Date.now());
    this.saved(undefined);
  }

  async reportFault(holder: string, fault: GateFault): Promise<{ closedUntilMs: number; opened: boolean }> {
    return this.saved(this.state.reportFault(holder, fault, { nowMs: Date.now(), random: Math.random() }));
  }

  async reportThrottle(_holder: string, retryAfterMs: number): Promise<void> {
    this.state.reportThrottle(retryAfterMs, Date.now());
    this.saved(undefined);
  }

  async reportSuccess(holder: string): Promise<{ closed: boolean }> {
    return this.saved(this.state.reportSuccess(holder, Date.now()));
  }

  async health(): Promise<GateHealth> {
    return this.state.health(Date.now());
  }

  private saved<T>(result: T): T {
    const unsaved = this.state.takeUnsaved(Date.now());
    if (unsaved) this.ctx.storage.kv.put(STATE_KEY, unsaved);
    return result;
  }

  /** An idle object is evicted after some seconds, and would forget who holds what: a pending timer keeps it. */
  private stayWhileLeased(): void {
    const endsAtMs = this.state.leasesEndAt(Date.now());
    if (endsAtMs === undefined || this.timer !== undefined) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.state.settle(Date.now());
        this.saved(undefined);
        this.stayWhileLeased();
      },
      endsAtMs - Date.now() + 1,
    );
  }
}
