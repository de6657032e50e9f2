/** A reply that is due: who waits for it, how long, and what may come. */
import type { Reply, SmtpFault, Stage } from './types.ts';

export interface Pending {
  readonly stage: Stage;
  readonly timeoutMs: number;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (fault: SmtpFault) => void;
}

export function expectReply(stage: Stage, timeoutMs: number): { promise: Promise<Reply>; pending: Pending } {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  return { promise: handled(promise), pending: { stage, timeoutMs, resolve, reject } };
}

/** An intermediate reply is an answer to DATA (354) and AUTH (334) only, and DATA has no other success. */
export function isAnswerTo(stage: Stage, code: number): boolean {
  if (code >= 400) return true;
  if (stage === 'data') return code === 354;
  return code < 300 || (stage === 'auth' && code === 334);
}

/** A rejection that nobody waits for is not an error of the program: the session's end reports it. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
