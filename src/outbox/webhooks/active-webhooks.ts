/** From the rows of D1 to webhooks that the courier may use: secrets opened, endpoints checked once more. */
import { type SealedPlace, type SealingKey, unseal } from '../../crypto/seal.ts';
import { logError } from '../../log.ts';
import type { WebhookRecord } from '../../store/sending-state.ts';
import { checkEndpointUrl } from '../../web/endpoint-url.ts';
import type { ActiveWebhook } from './webhook-request.ts';

/** Current and previous secret are sealed for the same place, so that one can become the other. */
export function webhookSecretPlace(accountId: string, webhookId: string): SealedPlace {
  return { accountId, table: 'webhooks', column: 'secret', rowId: webhookId };
}

export function activeWebhooks(
  accountId: string,
  records: readonly WebhookRecord[],
  options: { readonly keys: readonly SealingKey[]; readonly allowPrivate: boolean },
): ActiveWebhook[] {
  return records.flatMap((record) => {
    const place = webhookSecretPlace(accountId, record.id);
    const open = (sealed: Uint8Array) => new TextDecoder().decode(unseal(options.keys, place, sealed));
    const checked = checkEndpointUrl(record.endpoint, { allowPrivate: options.allowPrivate });
    const { previousSecret, previousUntil } = record;
    try {
      return [
        {
          id: record.id,
          url: checked.ok ? checked.url : undefined,
          types: record.events ? new Set(record.events) : undefined,
          isEnabled: record.status === 'enabled',
          activeSinceMs: record.activeSince,
          secrets: [
            { value: open(record.sealedSecret) },
            ...(previousSecret && previousUntil !== null && previousUntil > Date.now()
              ? [{ value: open(previousSecret), untilMs: previousUntil }]
              : []),
          ],
        },
      ];
    } catch (error) {
      logError('webhook_secret_unreadable', error, { account_id: accountId });
      return [];
    }
  });
}
