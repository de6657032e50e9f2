/** What an Outbox does through services, which it may not import: `worker.ts` hands it over. */
import type { Env } from '../env.ts';
import type { AccountScope } from '../store/db.ts';
import type { BroadcastJobs } from './broadcasts/broadcast-api.ts';
import type { ImportSlice, SliceOutcome } from './imports/import-api.ts';

export interface OutboxJobs {
  /** A repetition of the same slice must have the same outcome. */
  importSlice(
    from: { readonly env: Env; readonly scope: AccountScope },
    slice: ImportSlice,
  ): Promise<SliceOutcome>;
  readonly broadcasts: BroadcastJobs;
}
