import { describe, expect, test } from 'vitest';
import { chooseLanguage } from '../../src/http/language.ts';

describe('the language of a page', () => {
  test.each<[string | undefined, string]>([
    [undefined, 'en'],
    ['', 'en'],
    ['de', 'de'],
    ['de-CH', 'de'],
    ['DE-ch', 'de'],
    ['zh-Hant-TW, fr', 'fr'],
    ['fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5', 'fr'],
    ['en;q=0.3,es;q=0.9', 'es'],
    ['en;q=0, de;q=0.1', 'de'],
    ['it, ja;q=0.9', 'en'],
    ['it, *;q=0.1', 'en'],
    ['en;q=0, *', 'de'],
    ['*', 'en'],
    ['es , fr ;q=1.0', 'es'],
    ['de;q=0.500, fr;q=0.501', 'fr'],
    // What is not written as it should be counts for nothing.
    ['de;q=2, fr;q=0.1', 'fr'],
    ['de;q=abc', 'en'],
    ['<script>', 'en'],
    ['de\u0000', 'en'],
    [`${'x'.repeat(2000)},de`, 'en'],
    [`${'it,'.repeat(500)}de`, 'en'],
  ])('for %j is %s', (accepted, language) => {
    expect(chooseLanguage(accepted)).toBe(language);
  });
});
