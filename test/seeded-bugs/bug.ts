/** A bug that is planted on purpose, to see that the tests notice. */
export interface SeededBug {
  readonly name: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** What would go wrong, in one sentence. */
  readonly breaks: string;
  readonly project: 'pure' | 'workers' | 'system';
  /** Every one of these must fail. */
  readonly caughtBy: readonly string[];
  /** In files that take long: the test that is enough. */
  readonly test?: string;
}
