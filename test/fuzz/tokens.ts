/**
 * Requests are made before it is known what exists when they are sent. So they name things: a token in a path,
 * a header or a body stands for the sender's domain, or for an id that earlier answers gave. Its characters
 * come through JSON and percent-encoding unchanged.
 */
import fc from 'fast-check';

/** An own id of the sender, one of another account, or one that was deleted. */
export type Whose = 'own' | 'other' | 'gone';

export const domainToken = '~domain~.example';

/** `kind` is the prefix of an id, and may be narrowed to a state: `msg-scheduled`. */
export function idToken(whose: Whose, kind: string): fc.Arbitrary<string> {
  return fc.nat(9999).map((pick) => `~${whose}.${kind}.${pick}~`);
}

/** Not an id: the last part of a link that an answer gave. */
export const LINK_KIND = 'lnk';

export interface Namespace {
  readonly domain: string;
  idOf(whose: Whose, kind: string, pick: number): string;
}

const TOKEN = /~(?:domain~\.example|(own|other|gone)\.([a-z]{3}(?:-[a-z_]+)?)\.(\d{1,4})~)/g;

export function replaceTokens(text: string, names: Namespace): string {
  return text.replace(TOKEN, (_token, whose: Whose | undefined, kind = '', pick = '0') =>
    whose === undefined ? names.domain : names.idOf(whose, kind, Number(pick)),
  );
}

/** What the SMTP server does with a recipient is in its name. */
export const ADDRESSES = {
  accepted: 'ok@example.net',
  another: 'second@example.org',
  refused: 'refused@example.net',
  deferred: 'deferred@example.net',
  /** The connection is lost after the dot. */
  doubtful: 'doubtful@example.net',
};
