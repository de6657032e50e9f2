/**
 * Ports of loopback that nothing listens on. They lie below those that systems give out by themselves: of the
 * connections that other tests open meanwhile, none takes such a port before the server is there that it is for.
 */
import { randomInt } from 'node:crypto';
import { freePortFrom } from '../../scripts/ports.ts';

const LOWEST = 10_000;
const HIGHEST = 32_000;

const given = new Set<number>();

export async function freePort(): Promise<number> {
  for (;;) {
    const port = await freePortFrom(randomInt(LOWEST, HIGHEST), [...given]);
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}
