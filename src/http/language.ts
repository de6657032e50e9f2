/** The language of a page for people, by the Accept-Language of their browser (RFC 9110). */
import { LANGUAGES, type Language } from '../services/languages.ts';
import type { AppContext } from './app-types.ts';

/** A browser sends a few; what comes after this many is not looked at. */
const MAX_RANGES = 20;
const RANGE =
  /^\s*([a-z]{1,8}|\*)(?:-[a-z0-9]{1,8})*\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?$/i;

/** The best of ours; English where none is wanted. */
export function chooseLanguage(accepted: string | undefined): Language {
  const weights = new Map<string, number>();
  for (const range of (accepted ?? '').slice(0, 1000).split(',').slice(0, MAX_RANGES)) {
    const [, tag = '', weight = '1'] = RANGE.exec(range) ?? [];
    const language = tag.toLowerCase();
    if (language !== '') weights.set(language, Math.max(weights.get(language) ?? 0, Number(weight)));
  }
  const weightOf = (language: string) => weights.get(language) ?? weights.get('*') ?? 0;
  // Of those that are wanted equally, the one that was named first, and English among those that `*` stands for.
  const named = [...weights.keys(), ...LANGUAGES].filter((one): one is Language => isOurs(one));
  const [best = 'en'] = named.sort((one, other) => weightOf(other) - weightOf(one));
  return weightOf(best) > 0 ? best : 'en';
}

/** Of the reader of this request, and says so in the answer. */
export function languageOf(c: AppContext): Language {
  const language = chooseLanguage(c.req.header('accept-language'));
  c.header('content-language', language);
  c.header('vary', 'accept-language');
  return language;
}

function isOurs(language: string): boolean {
  return LANGUAGES.some((one) => one === language);
}
