/**
 * Which upstream servers a customer may name. The Worker connects by name and the platform itself blocks
 * private ranges; this refuses what is recognisable before that: address literals in any spelling,
 * single labels, private and metadata names. A deployment for local development may allow private ones.
 */
import { domainToASCII } from 'node:url';
import { isPrivateName } from './private-name.ts';

export type HostCheck =
  | { readonly ok: true; readonly host: string }
  | { readonly ok: false; readonly reason: string };

const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
/** What a URL parser would take for an IPv4 address: a last label that is a decimal, octal or hex number. */
const NUMERIC_LABEL = /^(?:\d+|0x[0-9a-f]*)$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

/** The canonical form of a host (lower-case A-labels), or why it is refused. */
export function checkRelayHost(text: string, options: { readonly allowPrivate: boolean }): HostCheck {
  if (options.allowPrivate && IPV4.test(text)) return { ok: true, host: text };
  const host = hostNameOf(text);
  if (host === undefined) return refused('must be a host name, not an address');
  if (options.allowPrivate) return { ok: true, host };
  if (isPrivateName(host)) return refused('must be a public host name');
  if (!host.includes('.')) return refused('must be a full host name');
  return { ok: true, host };
}

/** Lower-case A-labels of a host or domain name; undefined where it is none, or an address. */
export function hostNameOf(text: string): string | undefined {
  // domainToASCII parses like a URL: anything that could end the host there is refused first.
  if (text.length > 253 || !/^[\p{L}\p{M}\p{N}.-]+$/u.test(text)) return undefined;
  const host = domainToASCII(text).toLowerCase();
  const labels = host.split('.');
  if (host.length > 253 || NUMERIC_LABEL.test(labels.at(-1) ?? '')) return undefined;
  return labels.every((label) => LABEL.test(label)) ? host : undefined;
}

function refused(reason: string): HostCheck {
  return { ok: false, reason };
}
