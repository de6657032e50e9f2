/** What a real mail server goes through: connections cut before it at every command, and refusals of its own. */

import { CUT_ACTS, CUT_POSITIONS, type Cut } from './cutting-front.ts';
import type { Expectation } from './expectation.ts';

export type MtaTls = 'none' | 'starttls' | 'implicit';

/** A service of the mail server that does something wrong; the relay finds the sound one behind it afterwards. */
export interface Way {
  readonly service: string;
  /** Of the first message; the default is delivered without a doubt. */
  readonly status?: 'failed' | 'delivered';
  readonly doubts?: number;
  /** The sound service, where it is not the plain one. */
  readonly sound?: string;
  readonly tls?: MtaTls;
  readonly login?: boolean;
  readonly recipients?: readonly ('one' | 'twenty' | 'mixed' | 'many-gone')[];
}

export interface MtaCell {
  readonly name: string;
  readonly cut?: Cut;
  readonly service: string;
  readonly sound: string;
  readonly tls: MtaTls;
  readonly login: boolean;
  readonly recipients: 'one' | 'twenty' | 'mixed' | 'many-gone';
  readonly policy: 'retry' | 'hold';
  readonly expectation: Expectation;
}

const POLICIES = ['retry', 'hold'] as const;
export const SOUND: Readonly<Record<MtaTls, string>> = {
  none: 'sound',
  starttls: 'sound-starttls',
  implicit: 'sound-implicit',
};

export function expected(status: string, doubts: number, maxDoubts = doubts): Expectation {
  return { statuses: statusesOf(status), minDoubts: doubts, maxDoubts };
}

function statusesOf(...statuses: string[]): Expectation['statuses'] {
  return { ok: statuses, gone: ['failed'], later: statuses };
}

export function cutCells(): MtaCell[] {
  const cells: MtaCell[] = [];
  for (const position of CUT_POSITIONS) {
    const isTls = position === 'starttls' || position === 'tls';
    const modes: MtaTls[] = isTls ? (position === 'tls' ? ['starttls', 'implicit'] : ['starttls']) : ['none'];
    for (const act of CUT_ACTS) {
      if (whyNoCut({ position, act }) !== undefined) continue;
      for (const tls of modes) {
        for (const recipients of isTls ? (['one'] as const) : (['one', 'twenty'] as const)) {
          if (position === 'rcpt-last' && recipients === 'one') continue;
          for (const policy of POLICIES) {
            cells.push({
              name: ['cut', position, act, tls, recipients, policy].join('/'),
              cut: { position, act },
              service: SOUND[tls],
              sound: SOUND[tls],
              tls,
              login: false,
              recipients,
              policy,
              expectation: expectationOfCut({ position, act }, policy),
            });
          }
        }
      }
    }
  }
  return cells;
}

export function wayCells(ways: readonly Way[]): MtaCell[] {
  return ways.flatMap((way) => {
    const { service, status = 'delivered', doubts = 0, tls = 'none', login = false } = way;
    return (way.recipients ?? (['one', 'twenty'] as const)).flatMap((recipients) =>
      POLICIES.map((policy) => ({
        name: ['way', service, tls, recipients, policy].join('/'),
        service,
        sound: way.sound ?? SOUND[tls],
        tls,
        login,
        recipients,
        policy,
        // A service refuses for as long as the front leads to it: more than once on a busy machine.
        expectation: expected(status, doubts, doubts && Number.POSITIVE_INFINITY),
      })),
    );
  });
}

/** Why a cut cannot be; undefined where it can. */
function whyNoCut({ position, act }: Cut): string | undefined {
  if (act === 'torn' && ['connect', 'tls', 'body'].includes(position)) return 'no reply is due there';
  if (act === 'unsent' && ['connect', 'banner', 'tls', 'body'].includes(position))
    return 'no command is sent there';
  return undefined;
}

function expectationOfCut({ position, act }: Cut, policy: 'retry' | 'hold'): Expectation {
  const doubtful = policy === 'hold' ? 'in_doubt' : 'delivered';
  // The sockets may have taken the rest of the body, and the dot, before the end is seen.
  if (position === 'body')
    return { ...expected('delivered', 0, 1), statuses: statusesOf('delivered', doubtful) };
  if (act === 'torn' || position !== 'dot') return expected('delivered', 0);
  return expected(doubtful, 1);
}
