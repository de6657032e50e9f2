/**
 * Which URLs a customer may have events sent to. The Worker connects by name, and the platform itself blocks
 * private ranges; this refuses what is recognisable before that. The URL parser brings every spelling of an
 * address to one form first. A deployment for local use may allow the loopback, in clear too.
 */
import { isPrivateName } from './private-name.ts';

export type EndpointCheck =
  | { readonly ok: true; readonly url: string; readonly host: string; readonly isLoopback: boolean }
  | { readonly ok: false; readonly reason: string };

const MAX_LENGTH = 2000;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/;

/** The canonical form of an endpoint, or why it is refused. `ownHosts` are names of this deployment. */
export function checkEndpointUrl(
  text: string,
  options: { readonly allowPrivate: boolean; readonly ownHosts?: readonly string[] },
): EndpointCheck {
  // A parser would drop these without a word.
  if (text.length > MAX_LENGTH || /[\s\\]|\p{Cc}/u.test(text)) return refused('must be an https URL');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return refused('must be an https URL');
  if (url.username !== '' || url.password !== '' || /^[a-z]+:\/\/[^/?#]*@/i.test(text)) {
    return refused('must not carry a user name or a password');
  }
  if (url.hash !== '' || text.includes('#')) return refused('must not have a fragment');
  // One trailing dot is the same name.
  const host = url.hostname.replace(/\.$/, '');
  if (options.allowPrivate && LOOPBACK.test(host)) return { ok: true, url: url.href, host, isLoopback: true };
  if (url.protocol !== 'https:') return refused('must be an https URL');
  if (url.port !== '') return refused('must use port 443');
  if (IPV4.test(host) || host.startsWith('[')) return refused('must name a host, not an address');
  if (!host.includes('.')) return refused('must have a full host name');
  if (host.length > 253 || !host.split('.').every((label) => LABEL.test(label))) {
    return refused('must have a valid host name');
  }
  if (isPrivateName(host)) return refused('must have a public host name');
  if (options.ownHosts?.includes(host)) return refused('must not be this service itself');
  return { ok: true, url: url.href, host, isLoopback: false };
}

function refused(reason: string): EndpointCheck {
  return { ok: false, reason };
}
