/** Tells of a relay that became unusable, and of one that is usable again: in the log, as an event, and in the audit log. */
import { logError, logEvent } from '../log.ts';
import { insertAudit } from '../store/audit-log.ts';
import type { PumpContext } from './pump.ts';
import type { SendingStateReader } from './sending-state.ts';
import type { EventOffice } from './webhooks/event-office.ts';

export function relayReports(
  ctx: DurableObjectState,
  { accountId, state, events }: { accountId: string; state: SendingStateReader; events: EventOffice },
): Pick<PumpContext, 'onRelayFault' | 'onRelayOpened'> {
  return {
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
