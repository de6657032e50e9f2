/** Which addresses a name of a customer's may lead to: those of the public internet. */
import { type IpRange, isInRange, parseIp, parseIpRange } from './ip-range.ts';

/** Everything else of IPv6 is not in use, or stands for something else: `::1`, mapped, NAT64, `fc00::/7`, `fe80::/10`. */
const GLOBAL_IPV6 = rangesOf(['2000::/3']);

/** IANA's registries of special-purpose addresses (RFC 6890), and multicast. */
const SPECIAL = rangesOf([
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, metadata services
  '172.16.0.0/12', // private
  '192.0.0.0/24', // IETF protocol assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '2001::/23', // IETF protocol assignments, Teredo
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
]);

/** As published at www.cloudflare.com/ips; read on 2026-11-25, changed last on 2023-09-28. */
const CLOUDFLARE = rangesOf([
  '103.21.244.0/22',
  '103.22.200.0/22',
  '103.31.4.0/22',
  '104.16.0.0/13',
  '104.24.0.0/14',
  '108.162.192.0/18',
  '131.0.72.0/22',
  '141.101.64.0/18',
  '162.158.0.0/15',
  '172.64.0.0/13',
  '173.245.48.0/20',
  '188.114.96.0/20',
  '190.93.240.0/20',
  '197.234.240.0/22',
  '198.41.128.0/17',
  '2400:cb00::/32',
  '2405:8100::/32',
  '2405:b500::/32',
  '2606:4700::/32',
  '2803:f800::/32',
  '2a06:98c0::/29',
  '2c0f:f248::/32',
]);

/** What kind of address it is; `special` too where it is none. */
export function addressKind(text: string): 'public' | 'special' | 'cloudflare' {
  const address = parseIp(text);
  if (!address) return 'special';
  const isIn = (ranges: readonly IpRange[]) => ranges.some((range) => isInRange(address, range));
  // A mapped address is no address of a name, whatever it stands for.
  if (text.includes(':') && !isIn(GLOBAL_IPV6)) return 'special';
  if (isIn(SPECIAL)) return 'special';
  return isIn(CLOUDFLARE) ? 'cloudflare' : 'public';
}

function rangesOf(texts: readonly string[]): readonly IpRange[] {
  return texts.flatMap((text) => parseIpRange(text) ?? []);
}
