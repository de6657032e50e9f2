/**
 * Addresses and ranges in CIDR notation. One spelling each: IPv4 in four decimal parts without leading zeros, IPv6
 * as in RFC 4291, without zone ids. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is the IPv4 address it stands for.
 */
export interface IpAddress {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

export interface IpRange extends IpAddress {
  readonly prefix: number;
}

const PART = /^(?:0|[1-9]\d{0,2})$/;
const GROUP = /^[0-9a-f]{1,4}$/i;
const MAX_LENGTH = 45;
/** What comes before the 32 bits of a mapped address. */
const MAPPED = 0xffffn;
const MAPPED_PREFIX = 96;

export function parseIp(text: string): IpAddress | undefined {
  const parsed = parseAsWritten(text);
  if (parsed?.bits !== 128 || parsed.value >> 32n !== MAPPED) return parsed;
  return { bits: 32, value: parsed.value & 0xffff_ffffn };
}

/** `192.0.2.0/24`, `2001:db8::/32`, or a single address. undefined where it is none, or has bits below its prefix. */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = '', prefixText, ...rest] = text.split('/');
  const parsed = parseAsWritten(address);
  if (!parsed || rest.length > 0) return undefined;
  if (prefixText !== undefined && !PART.test(prefixText)) return undefined;
  const prefix = prefixText === undefined ? parsed.bits : Number(prefixText);
  if (prefix > parsed.bits) return undefined;
  if ((parsed.value & ((1n << BigInt(parsed.bits - prefix)) - 1n)) !== 0n) return undefined;
  if (parsed.bits === 128 && parsed.value >> 32n === MAPPED && prefix >= MAPPED_PREFIX) {
    return { bits: 32, value: parsed.value & 0xffff_ffffn, prefix: prefix - MAPPED_PREFIX };
  }
  return { ...parsed, prefix };
}

export function isInRange(address: IpAddress, range: IpRange): boolean {
  if (address.bits !== range.bits) return false;
  const shift = BigInt(range.bits - range.prefix);
  return address.value >> shift === range.value >> shift;
}

function parseAsWritten(text: string): IpAddress | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!PART.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return { bits: 32, value };
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1));
  if (!head || (halves.length === 2 && !tail)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  // `::` stands for at least one group.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...(tail ?? [])];
  return { bits: 128, value: groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n) };
}

/** The last one may be IPv4 in its own notation, which is two groups. */
function groupsOf(half: string, isLast: boolean): number[] | undefined {
  if (half === '') return [];
  const texts = half.split(':');
  const groups: number[] = [];
  for (const [index, text] of texts.entries()) {
    if (text.includes('.')) {
      const embedded = isLast && index === texts.length - 1 ? parseIpv4(text) : undefined;
      if (!embedded) return undefined;
      groups.push(Number(embedded.value >> 16n), Number(embedded.value & 0xffffn));
    } else {
      if (!GROUP.test(text)) return undefined;
      groups.push(Number.parseInt(text, 16));
    }
  }
  return groups;
}
