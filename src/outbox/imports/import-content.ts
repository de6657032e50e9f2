/** What an import of contacts is made of while it lies in the Outbox, and how that is sealed there. */
import { type SealedPlace, type SealingKey, seal, unseal } from '../../crypto/seal.ts';
import { sealJson, unsealJson } from '../../crypto/sealed-json.ts';

interface ImportIdentity {
  readonly accountId: string;
  readonly id: string;
}

/** What was asked for, with the columns of the file by their place. Lies sealed beside the file. */
export interface ImportOptions {
  /** The API key that asked: it stands in the audit log. */
  readonly keyId: string;
  readonly delimiter: string;
  /** How many columns the header has. */
  readonly width: number;
  readonly columns: {
    readonly email: number;
    readonly firstName?: number | undefined;
    readonly lastName?: number | undefined;
    readonly unsubscribed?: number | undefined;
    readonly properties: readonly {
      readonly key: string;
      readonly column: number;
      readonly isBoolean: boolean;
    }[];
  };
  readonly onConflict: 'upsert' | 'skip';
  readonly listIds: readonly string[];
  readonly topics: readonly { readonly id: string; readonly subscription: 'opt_in' | 'opt_out' }[];
  /** Present: who is pending on one of the lists is mailed the link that confirms it, which leads to this origin. */
  readonly confirmations?: { readonly origin: string; readonly isTest: boolean };
}

/** Of the links that confirm a place on a list. Those that were not mailed will not be, either. */
export interface Confirmations {
  readonly mailed: number;
  readonly notMailed: number;
}

/** A place between two records of the file, or inside of a line that is refused for its length. */
export interface ImportPosition {
  readonly byte: number;
  /** Of the file, from 1 on. */
  readonly line: number;
  readonly isInsideRefused: boolean;
}

export interface ImportCounts {
  readonly total: number;
  readonly created: number;
  readonly updated: number;
  readonly skipped: number;
  readonly failed: number;
}

export const NO_COUNTS: ImportCounts = { total: 0, created: 0, updated: 0, skipped: 0, failed: 0 };

export function addCounts(a: ImportCounts, b: ImportCounts): ImportCounts {
  return {
    total: a.total + b.total,
    created: a.created + b.created,
    updated: a.updated + b.updated,
    skipped: a.skipped + b.skipped,
    failed: a.failed + b.failed,
  };
}

export function addConfirmations(
  a: Confirmations,
  b: Confirmations = { mailed: 0, notMailed: 0 },
): Confirmations {
  return { mailed: a.mailed + b.mailed, notMailed: a.notMailed + b.notMailed };
}

/** A line that made no contact. Never its content. */
export interface Refusal {
  readonly line: number;
  readonly reason: string;
}

/** So many refusals are kept of one import; all are counted. */
export const MAX_REFUSALS = 10_000;

export function sealImportPiece(
  key: SealingKey,
  identity: ImportIdentity,
  index: number,
  piece: Uint8Array,
): Uint8Array {
  return seal(key, placeOf(identity, 'pieces', index), piece);
}

export function openImportPiece(
  keys: readonly SealingKey[],
  identity: ImportIdentity,
  index: number,
  sealed: Uint8Array,
): Uint8Array {
  return unseal(keys, placeOf(identity, 'pieces', index), sealed);
}

export function sealImportOptions(
  keys: readonly SealingKey[],
  identity: ImportIdentity,
  options: ImportOptions,
): Uint8Array {
  return sealJson(keys, placeOf(identity, 'options', 0), options);
}

export function openImportOptions(
  keys: readonly SealingKey[],
  identity: ImportIdentity,
  sealed: Uint8Array,
): ImportOptions {
  return unsealJson(keys, placeOf(identity, 'options', 0), sealed);
}

/** `line`: the first of them, by which they are found. */
export function sealRefusals(
  keys: readonly SealingKey[],
  identity: ImportIdentity,
  line: number,
  refusals: readonly Refusal[],
): Uint8Array {
  return sealJson(keys, placeOf(identity, 'refusals', line), refusals);
}

export function openRefusals(
  keys: readonly SealingKey[],
  identity: ImportIdentity,
  { line, refusals }: SealedRefusals,
): readonly Refusal[] {
  return unsealJson(keys, placeOf(identity, 'refusals', line), refusals);
}

export interface SealedRefusals {
  readonly line: number;
  readonly refusals: Uint8Array;
}

function placeOf({ accountId, id }: ImportIdentity, column: string, index: number): SealedPlace {
  return { accountId, table: 'imports', column, rowId: `${id}/${index}` };
}
