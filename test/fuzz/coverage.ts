/** Whether each operation was got to: it must have succeeded, and it must have been refused. */
import type { Operation } from './operations.ts';
import type { Answer } from './world.ts';

/** By `METHOD /path`, each with its reason. */
const NEVER_SUCCEEDS: Readonly<Record<string, string>> = {
  'GET /confirm': 'its token is in a mail',
  'POST /confirm': 'its token is in a mail',
  'GET /u/{token}': 'its token is in a mail',
  'POST /u/{token}/undo': 'its token is in a mail',
  'GET /preferences/{token}': 'its token is in a mail',
  'POST /preferences/{token}': 'its token is in a mail',
  'GET /join/{token}': 'its token is in a mail',
  'POST /join/{token}': 'its token is in a mail',
  'POST /v1/broadcasts/{id}/pause': 'a broadcast to few is over before the next request',
  'POST /v1/broadcasts/{id}/resume': 'a broadcast to few is over before the next request',
};
const NEVER_REFUSES: Readonly<Record<string, string>> = {
  'GET /health': 'it needs no key, and reads nothing of the request',
  'POST /u/{token}': 'its answer is the same for every token',
};

/** What is answered before a request has come to an operation. */
const NOT_OF_AN_OPERATION = /"code":"(?:route_not_found|method_not_allowed)"/;

export class Coverage {
  readonly #counts = new Map<string, { succeeded: number; refused: number }>();

  count({ at }: Operation, { status, body }: Answer): void {
    const counts = this.#counts.get(at) ?? { succeeded: 0, refused: 0 };
    this.#counts.set(at, counts);
    if (status < 300) counts.succeeded++;
    else if (!NOT_OF_AN_OPERATION.test(body.toString())) counts.refused++;
  }

  /** Those of which more has to be seen. */
  uncovered(operations: readonly Operation[]): Operation[] {
    return operations.filter(({ at }) => this.#missingOf(at).length > 0);
  }

  missing(operations: readonly Operation[]): string[] {
    return operations.flatMap(({ at }) => this.#missingOf(at).map((what) => `${at} ${what}`));
  }

  #missingOf(at: string): string[] {
    const { succeeded, refused } = this.#counts.get(at) ?? { succeeded: 0, refused: 0 };
    return [
      ...(succeeded === 0 && !(at in NEVER_SUCCEEDS) ? ['never succeeded; see the hints in values.ts'] : []),
      ...(refused === 0 && !(at in NEVER_REFUSES) ? ['was never refused'] : []),
    ];
  }
}
