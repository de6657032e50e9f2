import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseMailbox } from '../../src/mime/address.ts';

const CORPUS = join(import.meta.dirname, '../../../shared/corpora/isemail/tests.json');

/** The categories and the diagnosis that docs/address-policy.md accepts. */
const ACCEPTED_CATEGORIES = ['ISEMAIL_VALID_CATEGORY', 'ISEMAIL_DNSWARN'];
const ACCEPTED_DIAGNOSES = ['ISEMAIL_RFC5321_TLD'];

interface IsEmailCase {
  readonly id: number;
  readonly address: string;
  readonly category: string;
  readonly diagnosis: string;
}

describe.skipIf(!existsSync(CORPUS))('the isemail corpus', () => {
  const cases: IsEmailCase[] = existsSync(CORPUS) ? JSON.parse(readFileSync(CORPUS, 'utf8')) : [];

  it('has its 164 cases', () => {
    expect(cases).toHaveLength(164);
  });

  it.each(cases)(
    'gives case $id ($diagnosis) the verdict of the policy',
    ({ address, category, diagnosis }) => {
      const accepted = ACCEPTED_CATEGORIES.includes(category) || ACCEPTED_DIAGNOSES.includes(diagnosis);
      expect(parseMailbox(address).ok).toBe(accepted);
    },
  );
});
