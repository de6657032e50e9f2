/**
 * Which upstream servers a customer may name. The Worker connects by name and the platform itself blocks
 * private ranges; this refuses what is recognisable before that: address literals in any spelling,
 * single labels, private and metadata names. A deployment for local development may allow private ones.
 */
import { domainToASCII } from 'node:url';
import type { TlsMode } from './types.ts';

export type HostCheck =
  | { readonly ok: true; readonly host: string }
  | { readonly ok: false; readonly reason: string };

const PRIVATE_SUFFIXES = [
  'local',
  'localhost',
  'internal',
  'lan',
  'home.arpa',
  'intranet',
  'corp',
  'localdomain',
];
const METADATA_NAMES = ['metadata', 'metadata.google.internal', 'metadata.azure.com', 'instance-data'];
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
  const isPrivate =
    METADATA_NAMES.includes(host) ||
    PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
  if (isPrivate) return refused('must be a public host name');
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

/** Why a port is refused; undefined where it is fine. */
export function refusedPortReason(port: number): string | undefined {
  if (port === 25) return 'port 25 is blocked by the platform; use 465 or 587';
  if (port === 465 || port === 587 || (port >= 1024 && port <= 65535)) return undefined;
  return 'must be 465, 587, 2525 or from 1024 to 65535';
}

export function defaultTlsFor(port: number): TlsMode {
  return port === 465 ? 'implicit' : 'starttls';
}

function refused(reason: string): HostCheck {
  return { ok: false, reason };
}
