import type { TlsMode } from './types.ts';

/** Why a port is refused; undefined where it is fine. */
export function refusedPortReason(port: number): string | undefined {
  if (port === 25) return 'port 25 is blocked by the platform; use 465 or 587';
  if (port === 465 || port === 587 || (port >= 1024 && port <= 65535)) return undefined;
  return 'must be 465, 587, 2525 or from 1024 to 65535';
}

export function defaultTlsFor(port: number): TlsMode {
  return port === 465 ? 'implicit' : 'starttls';
}
