/** What lists, topics and properties have in common: a sealed row, with many rows hanging on it. */
import { AppError } from '../errors.ts';

/** Few enough for one statement, whatever hangs on each. */
const STEP_ROWS = 5000;

/**
 * Before a row is deleted on which a million may hang: a single statement would take too long. Interrupted, it
 * leaves the rest, and the next deletion goes on.
 */
export async function emptyInSteps(removeSome: (limit: number) => Promise<boolean>): Promise<void> {
  while (await removeSome(STEP_ROWS));
}

/** A sealed row is read, changed and written: what was written between the two must not be lost. */
export function changedMeanwhile(): AppError {
  return new AppError('conflict', { reason: 'This was changed at the same moment. Try again.' });
}
