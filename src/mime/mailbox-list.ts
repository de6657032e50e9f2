/**
 * The address lists of a header that somebody else wrote (RFC 5322 section 3.4): split here, each address then
 * goes through `parseMailbox`, so no other grammar decides who gets mail. Names are for display only.
 */
import { parseMailbox } from './address.ts';
import { hasBidiControl, hasControl } from './characters.ts';
import { decodeWords } from './encoded-words.ts';
import type { Mailbox } from './types.ts';

const MAX_NAME = 200;

export type MailboxList =
  | { readonly ok: true; readonly mailboxes: readonly Mailbox[] }
  | { readonly ok: false; readonly reason: string };

interface Entry {
  /** What stands outside of angle brackets, as written but for comments. */
  text: string;
  /** The same without quotes. */
  name: string;
  /** What stands in angle brackets. */
  address: string | undefined;
}

/** Takes the unfolded value of a field. Groups are opened; an empty one (`undisclosed-recipients:;`) has nobody. */
export function parseMailboxList(value: string): MailboxList {
  const split = splitList(value);
  if (typeof split === 'string') return { ok: false, reason: split };
  const mailboxes: Mailbox[] = [];
  for (const { text, name, address } of split) {
    const parsed = parseMailbox(address === undefined ? text : `<${trim(address)}>`);
    if (!parsed.ok) return { ok: false, reason: parsed.reason };
    const shown = address === undefined ? undefined : displayName(name);
    mailboxes.push(shown === undefined ? parsed.mailbox : { name: shown, ...parsed.mailbox });
  }
  return { ok: true, mailboxes };
}

/** The reason where the list cannot be split. */
function splitList(value: string): Entry[] | string {
  const entries: Entry[] = [];
  let entry: Entry = { text: '', name: '', address: undefined };
  let inAngle = false;
  let inGroup = false;
  const end = () => {
    const text = trim(entry.text);
    if (text !== '' || entry.address !== undefined) entries.push({ ...entry, text });
    entry = { text: '', name: '', address: undefined };
  };
  for (let at = 0; at < value.length; at++) {
    const character = value.charAt(at);
    if (inAngle) {
      if (character === '>') inAngle = false;
      else entry.address += character;
    } else if (character === '"') {
      const close = endOfQuoted(value, at);
      if (close === undefined) return 'the quotes do not match';
      entry.text += value.slice(at, close + 1);
      entry.name += value.slice(at + 1, close).replace(/\\(.)/g, '$1');
      at = close;
    } else if (character === '(') {
      const close = endOfComment(value, at);
      if (close === undefined) return 'the parentheses do not match';
      entry.name += ' ';
      at = close;
    } else if (character === '<') {
      if (entry.address !== undefined) return 'an address has angle brackets twice';
      entry.address = '';
      inAngle = true;
    } else if (character === ',') {
      end();
    } else if (character === ':' && !inGroup && entry.address === undefined) {
      inGroup = true;
      entry = { text: '', name: '', address: undefined };
    } else if (character === ';' && inGroup) {
      end();
      inGroup = false;
    } else if (entry.address !== undefined && character !== ' ' && character !== '\t') {
      return 'an address is followed by something else';
    } else {
      entry.text += character;
      entry.name += character;
    }
  }
  if (inAngle) return 'the angle brackets do not match';
  if (inGroup) return 'a group has no end';
  end();
  return entries;
}

function endOfQuoted(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return undefined;
}

function endOfComment(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '(') depth++;
    else if (text[at] === ')' && --depth === 0) return at;
  }
  return undefined;
}

function displayName(text: string): string | undefined {
  const name = decodeWords(text)
    .replace(/[ \t]+/g, ' ')
    .trim()
    .slice(0, MAX_NAME);
  return name === '' || hasControl(name) || hasBidiControl(name) || !name.isWellFormed() ? undefined : name;
}

function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}
