/** The seeded bugs must still fit the code they are planted in; `npm run test:seeded` shows that they are caught. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { plant, SEEDED_BUGS } from './seeded-bugs/bugs.ts';

const pathOf = (file: string) => join(import.meta.dirname, '..', file);
const read = (file: string) => readFileSync(pathOf(file), 'utf8');

describe('a seeded bug', () => {
  test.each(SEEDED_BUGS)('fits the code: $name', (bug) => {
    const source = read(bug.file);
    expect(plant(source, bug)).not.toBe(source);
    for (const file of bug.caughtBy) expect(existsSync(pathOf(file))).toBe(true);
    if (bug.test) expect(bug.caughtBy.some((file) => read(file).includes(bug.test ?? ''))).toBe(true);
  });

  test('has its name to itself, and a line in the list', () => {
    const names = SEEDED_BUGS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(20);
    const list = read('docs/seeded-bugs.md');
    for (const { name, file, breaks } of SEEDED_BUGS) {
      expect(list).toContain(`| \`${name}\` | \`${file}\` | ${breaks} |`);
    }
  });
});
