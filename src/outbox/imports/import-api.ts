/** What crosses between the Outbox and its callers about imports. */
import type {
  Confirmations,
  ImportCounts,
  ImportOptions,
  ImportPosition,
  Refusal,
  SealedRefusals,
} from './import-content.ts';

export type ImportStatus = 'queued' | 'in_progress' | 'completed' | 'failed';

export interface ImportRecord {
  readonly id: string;
  readonly status: ImportStatus;
  readonly completedAtMs: number | undefined;
  readonly counts: ImportCounts;
  /** Absent where none were asked for. */
  readonly confirmations?: Confirmations;
}

export interface ImportPageRequest {
  readonly limit: number;
  readonly after?: string | undefined;
  readonly before?: string | undefined;
  readonly status?: ImportStatus | undefined;
}

export interface ImportToStart {
  readonly id: string;
  readonly pieces: number;
  readonly sizeBytes: number;
  /** As `sealImportOptions` made them. */
  readonly options: Uint8Array;
  /** The first record after the header. */
  readonly start: ImportPosition;
  readonly asksToConfirm: boolean;
}

export interface PieceOfImport {
  readonly id: string;
  readonly index: number;
  /** As `sealImportPiece` made it. */
  readonly piece: Uint8Array;
}

/** The RPC surface about imports; they are all in shard 0. */
export interface ImportApi {
  /** Writes a piece of a file. Piece 0 begins an upload. `full`: too many imports wait or are under way. */
  stage(piece: PieceOfImport): Promise<'staged' | 'lost' | 'full'>;
  /** The file is complete. Durable once it answers. */
  start(given: ImportToStart): Promise<'started' | 'lost'>;
  /** With its file, its refusals and what is left to do of it. False where there is none. */
  drop(id: string): Promise<boolean>;
  find(id: string): Promise<ImportRecord | undefined>;
  /** Newest first. */
  list(page: ImportPageRequest): Promise<{ rows: readonly ImportRecord[]; hasMore: boolean }>;
  /** In the order of the lines. */
  readRefusals(id: string): Promise<readonly SealedRefusals[]>;
}

/** A part of the file, in the clear, to be written to D1. */
export interface ImportSlice {
  readonly importId: string;
  readonly options: ImportOptions;
  readonly position: ImportPosition;
  /** From the position on. */
  readonly bytes: Uint8Array;
  /** The file ends with these bytes. */
  readonly isLast: boolean;
  /** It may have been written before without our knowing. */
  readonly mayBeRepeated: boolean;
}

export interface SliceOutcome {
  readonly position: ImportPosition;
  readonly counts: ImportCounts;
  readonly refusals: readonly Refusal[];
  readonly confirmations?: Confirmations;
}
