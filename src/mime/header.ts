/**
 * Headers that customers set themselves. What decides who sent a message, to whom, how it is built or how it
 * travelled is ours alone; everything else may be set, once its name and value are safe to write.
 */
import { hasControl, isAscii } from './characters.ts';
import { MAX_WORD } from './header-encoding.ts';

export { checkHeaderText } from './characters.ts';

const MAX_HEADERS = 50;
const MAX_NAME = 76;
const MAX_VALUE = 4000;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

const RESERVED = new Set([
  'from',
  'to',
  'cc',
  'bcc',
  'subject',
  'date',
  'message-id',
  'reply-to',
  'sender',
  'return-path',
  'received',
  'received-spf',
  'delivered-to',
  'apparently-to',
  'dkim-signature',
  'domainkey-signature',
  'authentication-results',
  'mime-version',
]);
const RESERVED_PREFIXES = ['arc-', 'content-', 'resent-'];

/** Headers with a grammar of their own: they are written as they are and never encoded. */
const STRUCTURED = new Map<string, { matches: (value: string) => boolean; expected: string }>([
  ['list-unsubscribe', { matches: isUriList, expected: 'one or more `<https:…>` or `<mailto:…>`' }],
  [
    'list-unsubscribe-post',
    { matches: (value) => value === 'List-Unsubscribe=One-Click', expected: '`List-Unsubscribe=One-Click`' },
  ],
  ['in-reply-to', { matches: isMessageIdList, expected: 'message ids in angle brackets' }],
  ['references', { matches: isMessageIdList, expected: 'message ids in angle brackets' }],
]);

export interface CustomHeader {
  readonly name: string;
  readonly value: string;
}

/** Returns the reason to refuse one of the headers, naming it, or undefined. */
export function checkHeaders(headers: readonly CustomHeader[]): string | undefined {
  if (headers.length > MAX_HEADERS) return `there are more than ${MAX_HEADERS} headers`;
  const seen = new Set<string>();
  for (const header of headers) {
    const reason = checkHeader(header);
    if (reason) return reason;
    const key = header.name.toLowerCase();
    if (seen.has(key)) return `the header \`${header.name}\` is given twice`;
    seen.add(key);
  }
  return undefined;
}

export function checkHeader({ name, value }: CustomHeader): string | undefined {
  // A bad name is not repeated in the reason: it may be anything.
  if (name.length > MAX_NAME) return `a header name is longer than ${MAX_NAME} characters`;
  if (!NAME.test(name)) return 'a header name may only have ASCII letters, digits, `-`, `_` and `.`';
  const key = name.toLowerCase();
  if (RESERVED.has(key) || RESERVED_PREFIXES.some((prefix) => key.startsWith(prefix))) {
    return `the header \`${name}\` cannot be set`;
  }
  const problem = checkValue(key, value);
  return problem ? `the value of the header \`${name}\` ${problem}` : undefined;
}

function checkValue(key: string, value: string): string | undefined {
  if (value.trim() === '') return 'is empty';
  if (value.length > MAX_VALUE) return `is longer than ${MAX_VALUE} characters`;
  if (!value.isWellFormed()) return 'is not well-formed Unicode';
  if (hasControl(value)) return 'contains control characters or line breaks';
  if (value.startsWith(' ') || value.endsWith(' ')) return 'starts or ends with a space';
  const grammar = STRUCTURED.get(key);
  if (!grammar) return undefined;
  if (!isAscii(value)) return 'contains characters outside ASCII';
  if (value.split(' ').some((word) => word.length > MAX_WORD)) return 'cannot be folded';
  return grammar.matches(value) ? undefined : `must be ${grammar.expected}`;
}

/** True for headers whose value must reach the wire as it is, not as encoded words. */
export function isStructured(name: string): boolean {
  return STRUCTURED.has(name.toLowerCase());
}

function isUriList(value: string): boolean {
  return value.split(',').every((part) => /^<(?:https?:|mailto:)[!-;=?-~]+>$/i.test(part.trim()));
}

function isMessageIdList(value: string): boolean {
  return value.split(/ +/).every((part) => /^<[!-;=?-~]+>$/.test(part));
}
