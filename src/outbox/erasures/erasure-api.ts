/** What crosses between the Outbox and its callers about erasing a person. */
import type { Term } from '../terms.ts';

export interface Erasure {
  readonly contactId: string;
  /** Of the address, as `keyedTerm` made it: the address itself does not lie here. */
  readonly recipient: Term;
}

/** The RPC surface about erasures, of each shard. */
export interface ErasureApi {
  /** Before the contact is deleted. Durable once it answers; carried out only when the contact is gone. */
  plan(erasure: Erasure): Promise<void>;
  /** The contact is gone. Answers once the mail is worked through, or a good part of it; the rest follows by itself. */
  carryOut(erasure: Erasure): Promise<void>;
}
