/** The grid of faults: every position of a delivery, crossed with everything that can go wrong there. */

export const POSITIONS = [
  'connect',
  'tls',
  'banner',
  'ehlo',
  'helo',
  'starttls',
  'ehlo-inside-tls',
  'auth',
  'auth-challenge',
  'mail',
  'rcpt-first',
  'rcpt-middle',
  'rcpt-last',
  'data',
  'body-first-byte',
  'body-half',
  'body-last-piece',
  'before-dot',
  'dot',
  'dot-overlapped',
  'dot-reply-begun',
  'rset',
  'next-mail',
  'next-data',
  'idle',
  'quit',
] as const;
export type Position = (typeof POSITIONS)[number];

export const FAULTS = [
  'close',
  'close-stored',
  'rst',
  'rst-stored',
  'silence',
  'silence-stored',
  '421',
  '421-stored',
  '450',
  '451',
  '452',
  '550',
  '554',
  'garbage',
  'wrong-class',
  'long-line',
  'changed-code',
  'twice',
  'torn',
  'slow',
  'kill',
  'kill-stored',
] as const;
export type Fault = (typeof FAULTS)[number];

export const RECIPIENTS = ['one', 'mixed', 'twenty'] as const;
export type Recipients = (typeof RECIPIENTS)[number];
export const TLS_MODES = ['starttls', 'implicit'] as const;
export const POLICIES = ['retry', 'hold'] as const;

export interface Cell {
  readonly position: Position;
  readonly fault: Fault;
  readonly recipients: Recipients;
  readonly tls: (typeof TLS_MODES)[number];
  readonly policy: (typeof POLICIES)[number];
}

const BODY: readonly Position[] = ['body-first-byte', 'body-half', 'body-last-piece'];
/** Where the server has the whole message. */
const DOT: readonly Position[] = ['dot', 'dot-overlapped'];

export function isBody(position: Position): boolean {
  return BODY.includes(position);
}

export function isDot(position: Position): boolean {
  return DOT.includes(position);
}

/** `close-stored` → `close`. */
export function actOf(fault: Fault): string {
  return fault.replace('-stored', '');
}

export function isReply(fault: Fault): boolean {
  return /^[45]/.test(fault);
}

export function isKill(cell: Cell): boolean {
  return actOf(cell.fault) === 'kill';
}

export function nameOf({ position, fault, recipients, tls, policy }: Cell): string {
  return [position, fault, recipients, tls, policy].join('/');
}

export function allCells(): Cell[] {
  return POSITIONS.flatMap((position) =>
    FAULTS.flatMap((fault) =>
      RECIPIENTS.flatMap((recipients) =>
        TLS_MODES.flatMap((tls) => POLICIES.map((policy) => ({ position, fault, recipients, tls, policy }))),
      ),
    ),
  );
}

/** Why a cell cannot be; undefined where it can. */
export function whyNotApplicable({ position, fault, recipients, tls }: Cell): string | undefined {
  const act = actOf(fault);
  if ((position === 'starttls' || position === 'ehlo-inside-tls') && tls === 'implicit')
    return 'implicit TLS has no STARTTLS';
  if (position === 'helo' && tls === 'starttls')
    return 'STARTTLS is announced in the reply to EHLO, so there is no way from HELO to it';
  if (position === 'rcpt-middle' && recipients === 'one') return 'one recipient has no middle';
  if (position === 'rcpt-last' && recipients === 'one') return 'the only recipient is the first';
  if (position === 'before-dot' && fault !== 'kill')
    return 'a dot that is lost on the way shows as a connection that ends at the dot, not stored';
  if (position === 'dot-reply-begun') {
    if (isReply(fault) || ['wrong-class', 'long-line', 'changed-code', 'twice', 'torn', 'slow'].includes(act))
      return 'is a matter of the whole reply: see the dot';
    if (!fault.endsWith('-stored') && act !== 'garbage')
      return 'a server that has begun its 250 has stored the message';
  } else if (fault.endsWith('-stored') && !isDot(position)) return 'no whole message is there to be stored';
  if (position === 'connect' && !['close', 'rst', 'silence', 'kill'].includes(act))
    return 'nothing can be said before the connection stands';
  if (position === 'tls' && !['close', 'rst', 'silence', 'kill', 'garbage', 'torn', 'slow'].includes(act))
    return 'a TLS handshake has no SMTP replies';
  if (isBody(position) && ['twice', 'torn', 'slow'].includes(act)) return 'no reply is due in a body';
  if (position === 'idle') {
    if (['silence', 'twice', 'torn', 'slow'].includes(act)) return 'no reply is due while the session idles';
  }
  return undefined;
}

/** Numbers in [0, 1) that follow from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** So many cells, spread evenly over the pairs of position and fault; within a pair, random from the seed. */
export function sampleCells(cells: readonly Cell[], count: number, random: () => number): Cell[] {
  const pairs = new Map<string, Cell[]>();
  for (const cell of cells) {
    const key = `${cell.position}/${cell.fault}`;
    pairs.set(key, [...(pairs.get(key) ?? []), cell]);
  }
  const shuffled = shuffle([...pairs.values()], random).map((pair) => shuffle(pair, random));
  const chosen: Cell[] = [];
  for (let round = 0; chosen.length < Math.min(count, cells.length); round++) {
    for (const pair of shuffled) {
      const cell = pair[round];
      if (cell && chosen.length < count) chosen.push(cell);
    }
  }
  return chosen;
}

export function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
