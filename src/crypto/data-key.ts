/** Data keys: one or more per account, each wrapped by a versioned master key of the deployment. */
import { SealError, type SealedPlace, type SealingKey, seal, unseal } from './seal.ts';

/** A master key as the settings give it: `MASTER_KEYS`, highest version first. */
export interface MasterKey {
  readonly version: number;
  readonly bytes: Uint8Array;
}

export interface WrappedDataKey {
  readonly number: number;
  readonly wrapped: Uint8Array;
  readonly masterVersion: number;
}

const KEY_LENGTH = 32;

export function newDataKey(number = 1): SealingKey {
  return { number, bytes: crypto.getRandomValues(new Uint8Array(KEY_LENGTH)) };
}

/** Wraps under the highest master version. */
export function wrapDataKey(
  masterKeys: readonly MasterKey[],
  accountId: string,
  key: SealingKey,
): WrappedDataKey {
  const master = masterKeys.reduce<MasterKey | undefined>(
    (best, candidate) => (best && best.version > candidate.version ? best : candidate),
    undefined,
  );
  if (!master) throw new SealError('no master key');
  const wrapped = seal(asSealingKey(master), placeOf(accountId, key.number), key.bytes);
  return { number: key.number, wrapped, masterVersion: master.version };
}

/** Throws `SealError` where the master key is gone, or the row belongs elsewhere. */
export function unwrapDataKey(
  masterKeys: readonly MasterKey[],
  accountId: string,
  wrapped: Pick<WrappedDataKey, 'number' | 'wrapped'>,
): SealingKey {
  const bytes = unseal(masterKeys.map(asSealingKey), placeOf(accountId, wrapped.number), wrapped.wrapped);
  return { number: wrapped.number, bytes };
}

function asSealingKey(master: MasterKey): SealingKey {
  return { number: master.version, bytes: master.bytes };
}

function placeOf(accountId: string, number: number): SealedPlace {
  return { accountId, table: 'data_keys', column: 'wrapped', rowId: String(number) };
}
