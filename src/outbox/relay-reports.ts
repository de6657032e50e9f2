/** Tells of a relay that became unusable, and of one that is usable again: in the log, as an event, and in the audit log. */
import type { Env } from '../env.ts';
import { logError, logEvent } from '../log.ts';
import { relayGateOf } from '../relay-gate/client.ts';
import { insertAudit } from '../store/audit-log.ts';
import type { PumpContext } from './pump.ts';
import { DEFAULT_RELAY_ID, type SendingStateReader } from './sending-state.ts';
import type { EventOffice } from './webhooks/event-office.ts';

/** What the pump has to do with relays beyond speaking to them. */
export function relayContext(
  { ctx, env }: { readonly ctx: DurableObjectState; readonly env: Env },
  { accountId, state, events }: { accountId: string; state: SendingStateReader; events: EventOffice },
): Pick<PumpContext, 'holder' | 'gateOf' | 'onRelayFault' | 'onRelayOpened'> {
  return {
    holder: ctx.id.toString(),
    gateOf: (relayId) => relayGateOf(env, relayId === DEFAULT_RELAY_ID ? relayId : `${accountId}/${relayId}`),
    onRelayFault: (relay, reason, code) => {
      logEvent('relay_closed', { account_id: accountId, relay_id: relay.id, code: reason, status: code });
      events.recordPause(relay.id, { reason, code: code ?? null }, ctx.storage);
      const entry = {
        actor: 'outbox',
        action: 'relay.paused',
        target: relay.id,
        details: { reason, code: code ?? null },
      };
      ctx.waitUntil(
        insertAudit(state.scope, entry).catch((error: unknown) =>
          logError('audit_failed', error, { account_id: accountId }),
        ),
      );
    },
    onRelayOpened: (relay) => events.recordResumption(relay.id, ctx.storage),
  };
}
