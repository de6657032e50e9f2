/** All seeded bugs. `docs/seeded-bugs.md` lists them; `npm run test:seeded` plants one after the other. */
import type { SeededBug } from './bug.ts';
import { DELIVERY_BUGS } from './delivery-bugs.ts';
import { LEAF_BUGS } from './leaf-bugs.ts';
import { OUTBOX_BUGS } from './outbox-bugs.ts';

export const SEEDED_BUGS: readonly SeededBug[] = [...DELIVERY_BUGS, ...OUTBOX_BUGS, ...LEAF_BUGS];

/** The file with the bug in it. Throws where its text does not stand there exactly once. */
export function plant(source: string, { name, find, replace }: SeededBug): string {
  const parts = source.split(find);
  if (parts.length !== 2) throw new Error(`${name}: its text stands ${parts.length - 1} times in the file`);
  return parts.join(replace);
}
