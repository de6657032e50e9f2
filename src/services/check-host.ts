/**
 * Where the names lead that customers give. They are looked up when they are saved or tried out: the Worker connects
 * by name, and a name may lead anywhere its owner wants. Without an answer nothing is saved, because whoever owns the
 * name could see to it that there is none. docs/webhooks.md says what that leaves to the platform.
 */
import { settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { logEvent } from '../log.ts';
import { lookUpHost } from '../web/host-lookup.ts';
import { addressKind } from '../web/public-address.ts';
import type { ServiceContext } from './service-context.ts';

/** Throws where the host, which stands in `field`, has no address, or one that is not everybody's. */
export async function checkHost(
  { env, scope, requestId }: ServiceContext,
  host: string,
  { field, allowCloudflare }: { readonly field: string; readonly allowCloudflare: boolean },
): Promise<void> {
  const { DNS_RESOLVER_URL, DNS_TIMEOUT_MS } = settingsOf(env);
  if (DNS_RESOLVER_URL === undefined) return;
  const addresses = await lookUpHost(host, { url: DNS_RESOLVER_URL, timeoutMs: DNS_TIMEOUT_MS });
  if (!addresses) {
    logEvent('host_not_looked_up', { request_id: requestId, account_id: scope.accountId });
    throw new AppError('host_not_looked_up', { field });
  }
  const kinds = addresses.map(addressKind);
  const refuse = (reason: string) => new AppError('field_refused', { field, reason });
  if (kinds.length === 0) throw refuse('its host name has no address');
  if (kinds.includes('special')) throw refuse('its host name leads to an address that is not public');
  if (!allowCloudflare && kinds.includes('cloudflare')) {
    throw refuse("its host name leads into Cloudflare's own network");
  }
}
