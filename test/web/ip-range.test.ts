import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isInRange, parseIp, parseIpRange } from '../../src/web/ip-range.ts';

function contains(range: string, address: string): boolean | undefined {
  const parsed = parseIpRange(range);
  const ip = parseIp(address);
  return parsed && ip && isInRange(ip, parsed);
}

describe('an address', () => {
  test.each([
    '0.0.0.0',
    '192.0.2.1',
    '255.255.255.255',
    '::',
    '::1',
    '2001:db8::1',
    '2001:DB8:0:0:0:0:0:1',
    '1:2:3:4:5:6:7:8',
    '1::8',
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    '::ffff:192.0.2.1',
    '64:ff9b::192.0.2.33',
    '1:2:3:4:5:6:192.0.2.1',
  ])('is %s', (text) => {
    expect(parseIp(text)).toBeDefined();
    expect(isIP(text)).not.toBe(0);
  });

  test.each([
    '',
    ' 192.0.2.1',
    '192.0.2.1 ',
    '192.0.2',
    '192.0.2.1.1',
    '192.0.2.256',
    '192.0.2.01',
    '0xc0.0.2.1',
    '3221225985',
    '192.0.2.-1',
    '192.0.2.1e1',
    '１92.0.2.1',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    ':1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:8:',
    '12345::',
    'g::',
    '::1%eth0',
    'fe80::1%25eth0',
    '[::1]',
    '::192.0.2.1:1',
    '192.0.2.1::',
    '::ffff:192.0.2.256',
    '::ffff:192.0.2',
    '1:2:3:4:5:6:7:192.0.2.1',
    `${'0'.repeat(60)}::1`,
  ])('is not %j', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  test('in IPv6 that maps IPv4 is that of IPv4, in every spelling', () => {
    for (const text of ['::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:c000:0201']) {
      expect(parseIp(text)).toEqual(parseIp('192.0.2.1'));
    }
    expect(parseIp('::192.0.2.1')).not.toEqual(parseIp('192.0.2.1'));
  });
});

describe('a range', () => {
  test.each<[string, string, boolean]>([
    ['192.0.2.0/24', '192.0.2.0', true],
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['192.0.2.0/24', '192.0.1.255', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['192.0.2.7', '192.0.2.6', false],
    ['192.0.2.7/32', '192.0.2.7', true],
    ['128.0.0.0/1', '255.0.0.1', true],
    ['128.0.0.0/1', '127.255.255.255', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '192.0.2.1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::', false],
    ['2001:db8::/127', '2001:db8::1', true],
    ['2001:db8::/127', '2001:db8::2', false],
    ['2001:db8::1', '2001:DB8:0::1', true],
    ['192.0.2.0/24', '::ffff:192.0.2.9', true],
    ['::ffff:192.0.2.0/120', '192.0.2.9', true],
    ['::ffff:192.0.2.0/120', '::ffff:192.0.2.9', true],
    ['::ffff:0:0/96', '198.51.100.1', true],
  ])('%s and %s: %s', (range, address, expected) => {
    expect(contains(range, address)).toBe(expected);
  });

  test.each([
    '192.0.2.0/33',
    '192.0.2.0/-1',
    '192.0.2.0/',
    '192.0.2.0/024',
    '192.0.2.0/24/8',
    '192.0.2.0/ 24',
    '192.0.2.1/24',
    '192.0.2.0/255.255.255.0',
    '192.0.2/24',
    '192.0.2.*',
    '2001:db8::/129',
    '2001:db8::1/64',
    'fe80::%eth0/64',
    '/24',
    '::ffff:192.0.2.1/120',
  ])('is not %s', (text) => {
    expect(parseIpRange(text)).toBeUndefined();
  });

  test('contains what the block list of Node says', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(address, address, fc.nat({ max: 128 }), (base, other, bits) => {
        const family = isIP(base) === 4 ? 'ipv4' : 'ipv6';
        const prefix = family === 'ipv4' ? bits % 33 : bits;
        const ip = parseIp(base);
        const otherIp = parseIp(other);
        if (!ip || !otherIp) throw new Error(`not read: ${base} ${other}`);
        // What is mapped is of the other family by then.
        fc.pre(ip.bits === (family === 'ipv4' ? 32 : 128));
        const list = new BlockList();
        list.addSubnet(base, prefix, family);
        const shift = BigInt(ip.bits - prefix);
        const range = { bits: ip.bits, value: (ip.value >> shift) << shift, prefix };
        fc.pre(isIP(other) === isIP(base));
        expect(isInRange(otherIp, range)).toBe(list.check(other, family));
        expect(isInRange(ip, range)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
