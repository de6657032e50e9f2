/** Reads what went wrong out of an error of D1 or drizzle, without its bound values. */

/** `SQLITE_CONSTRAINT` and the like: what of an error of D1 may be logged. */
export function storeFaultCode(error: unknown): string | undefined {
  return /\b(?:SQLITE|D1)_[A-Z_]+/.exec(storeFaultOf(error))?.[0];
}

/** The innermost message: drizzle's own one quotes the bound parameters. */
function storeFaultOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
  return inner instanceof Error ? inner.message : 'not an Error';
}

/** A reference to a row that is not there, or the deletion of one that is still referred to. */
export function isForeignKeyFault(error: unknown): boolean {
  return storeFaultOf(error).includes('FOREIGN KEY constraint failed');
}

/** A row that another one does not leave room for. */
export function isUniqueFault(error: unknown): boolean {
  return storeFaultOf(error).includes('UNIQUE constraint failed');
}

/** D1 itself failed, as against a statement that is wrong or a constraint that held. */
export function isStoreUnavailable(error: unknown): boolean {
  const text = storeFaultOf(error);
  return text.startsWith('D1_') && !/SQLITE_(?:CONSTRAINT|ERROR|MISMATCH|RANGE)/.test(text);
}
