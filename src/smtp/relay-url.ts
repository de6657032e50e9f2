/** `smtps://user:pass@host:465` (implicit TLS) or `smtp://user:pass@host:587` (STARTTLS): the deployment's default relay. */
import type { Credentials, RelayAddress } from './types.ts';

export interface DefaultRelay extends RelayAddress {
  readonly credentials?: Credentials;
}

/** The platform lets nothing out to this port, so no mail would ever leave. */
const BLOCKED_PORT = 25;

/** undefined where the text is not such a URL. `?tls=none` is for local development. */
export function parseRelayUrl(text: string): DefaultRelay | undefined {
  try {
    return relayOf(new URL(text));
  } catch {
    return undefined;
  }
}

/** Throws where a part cannot be decoded. */
function relayOf(url: URL): DefaultRelay | undefined {
  const implicit = url.protocol === 'smtps:';
  if ((!implicit && url.protocol !== 'smtp:') || url.hostname === '' || url.pathname.length > 1)
    return undefined;
  const port = url.port === '' ? (implicit ? 465 : 587) : Number(url.port);
  if (port === 0 || port === BLOCKED_PORT) return undefined;
  const plaintext = !implicit && url.searchParams.get('tls') === 'none';
  const username = decodeURIComponent(url.username);
  const secret = decodeURIComponent(url.password);
  // A password for nobody is a mistake; without it every message would be refused as not authenticated.
  if (username === '' && secret !== '') return undefined;
  return {
    // Host names are brought into their one form only for the schemes that URL knows.
    host: new URL(`https://${url.hostname}`).hostname,
    port,
    tls: implicit ? 'implicit' : plaintext ? 'none' : 'starttls',
    ...(username === '' ? {} : { credentials: { username, secret, method: 'auto' } }),
  };
}
