/**
 * Prefixed, time-ordered ids: `<prefix>_` and 26 characters of Crockford base32, that is 50 bits of
 * milliseconds and 80 bits of the rest. A message id spends the first 10 of those on its shard, so that
 * no index is needed to find the object that holds it.
 */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_LENGTH = 10;
const SHARD_LENGTH = 2;
const BODY_LENGTH = 26;

export const ID_PREFIXES = {
  account: 'acc',
  apiKey: 'key',
  relay: 'rly',
  domain: 'dom',
  message: 'msg',
  event: 'evt',
  webhook: 'whk',
  suppression: 'sup',
  contact: 'con',
  contactImport: 'imp',
  broadcast: 'brd',
  contactProperty: 'prp',
  list: 'lst',
  topic: 'top',
  template: 'tpl',
  templateVersion: 'tpv',
  invite: 'inv',
  audit: 'aud',
  request: 'req',
} as const;

export type IdKind = keyof typeof ID_PREFIXES;

export const MAX_SHARDS = 64;

export function newId(kind: Exclude<IdKind, 'message'>, nowMs: number = Date.now()): string {
  return `${ID_PREFIXES[kind]}_${encode(nowMs, TIME_LENGTH)}${randomCharacters(BODY_LENGTH - TIME_LENGTH)}`;
}

export function newMessageId(shard: number, nowMs: number = Date.now()): string {
  const time = encode(nowMs, TIME_LENGTH);
  const random = randomCharacters(BODY_LENGTH - TIME_LENGTH - SHARD_LENGTH);
  return `${ID_PREFIXES.message}_${time}${encode(shard, SHARD_LENGTH)}${random}`;
}

const LINE_LENGTH = 6;

/**
 * The id of the contact that a line of an import makes: always the same, by which a repetition knows its own work.
 * Later lines have later ids, which is the order that their rows are written in.
 */
export function importedContactId(importId: string, line: number): string {
  const body = importId.slice(ID_PREFIXES.contactImport.length + 1);
  const random = body.slice(TIME_LENGTH + LINE_LENGTH);
  return `${ID_PREFIXES.contact}_${body.slice(0, TIME_LENGTH)}${encode(line, LINE_LENGTH)}${random}`;
}

/** The time in an id of `newId`. */
export function idTimeMs(id: string): number {
  const start = id.indexOf('_') + 1;
  return decode(id.slice(start, start + TIME_LENGTH));
}

/** So many message ids of one shard and moment, in order: what is accepted together is sent in the order given. */
export function newMessageIds(count: number, shard: number, nowMs: number = Date.now()): string[] {
  return Array.from({ length: count }, () => newMessageId(shard, nowMs)).sort();
}

/**
 * The id of the message by which a broadcast reaches a contact: always the same for the same shard and moment, so
 * that a page which is made again makes no second message. `hash` is a keyed one of the two.
 */
export function broadcastMessageId(
  hash: Uint8Array,
  { shard, atMs }: { readonly shard: number; readonly atMs: number },
): string {
  const length = BODY_LENGTH - TIME_LENGTH - SHARD_LENGTH;
  if (hash.byteLength < length) throw new Error('the hash is too short for an id');
  let rest = '';
  for (const byte of hash.subarray(0, length)) rest += ALPHABET.charAt(byte & 31);
  return `${ID_PREFIXES.message}_${encode(atMs, TIME_LENGTH)}${encode(shard, SHARD_LENGTH)}${rest}`;
}

/** True for a string that could have come from `newId`; says nothing about whether the thing exists. */
export function isId(kind: IdKind, text: string): boolean {
  const prefix = ID_PREFIXES[kind];
  if (text.length !== prefix.length + 1 + BODY_LENGTH || !text.startsWith(`${prefix}_`)) return false;
  for (let at = prefix.length + 1; at < text.length; at++) {
    if (!ALPHABET.includes(text.charAt(at))) return false;
  }
  return true;
}

/** The parts of a message id; undefined where it is not one. `createdAtMs` is the clock of the Worker that made it. */
export function parseMessageId(id: string): { createdAtMs: number; shard: number } | undefined {
  if (!isId('message', id)) return undefined;
  const start = ID_PREFIXES.message.length + 1;
  return {
    createdAtMs: decode(id.slice(start, start + TIME_LENGTH)),
    shard: decode(id.slice(start + TIME_LENGTH, start + TIME_LENGTH + SHARD_LENGTH)),
  };
}

/** The smallest message id that a clock at `atMs` could have made. */
export function firstMessageIdAt(atMs: number): string {
  return firstId('message', atMs);
}

/** The smallest id that `newId` could have made at `atMs`. */
export function firstIdAt(kind: Exclude<IdKind, 'message'>, atMs: number): string {
  return firstId(kind, atMs);
}

function firstId(kind: IdKind, atMs: number): string {
  const zeros = ALPHABET.charAt(0).repeat(BODY_LENGTH - TIME_LENGTH);
  return `${ID_PREFIXES[kind]}_${encode(Math.max(0, atMs), TIME_LENGTH)}${zeros}`;
}

/** Attachments have no ids of their own: the email's, and their place in it. */
export function attachmentId(messageId: string, index: number): string {
  return `att_${messageId.slice(ID_PREFIXES.message.length + 1)}_${index}`;
}

/** Fixed length, so that texts sort as the numbers do. */
export function encode(value: number, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i++) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

export function decode(text: string): number {
  let value = 0;
  for (const character of text) value = value * 32 + ALPHABET.indexOf(character);
  return value;
}

/** One for all ids: they are made in one go. */
const random = new Uint8Array(BODY_LENGTH);

function randomCharacters(length: number): string {
  crypto.getRandomValues(random);
  let text = '';
  for (let at = 0; at < length; at++) text += ALPHABET.charAt((random[at] ?? 0) & 31);
  return text;
}
