/** The file of an import on its way to the Outbox, sealed in pieces: a piece and the head of it are in memory. */
import { releaseBytes } from '../crypto/release-bytes.ts';
import { newestKey, type SealingKey } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { type ImportApi, importDeskOf, PIECE_BYTES, sealImportPiece } from '../outbox/client.ts';
import { getDataKeys, refuseUnconfirmed } from './account-state.ts';
import { MAX_RECORD_BYTES } from './csv-records.ts';
import type { ServiceContext } from './service-context.ts';

export class ImportUpload {
  readonly id = newId('contactImport');
  readonly imports: ImportApi;
  readonly keys: readonly SealingKey[];
  readonly #accountId: string;
  readonly #piece = new Uint8Array(PIECE_BYTES);
  #pieceBytes = 0;
  #pieces = 0;
  #sizeBytes = 0;
  #head = new Uint8Array();

  constructor({ env, scope }: ServiceContext, keys: readonly SealingKey[]) {
    this.#accountId = scope.accountId;
    this.imports = importDeskOf(env, scope.accountId);
    this.keys = keys;
  }

  get pieces(): number {
    return this.#pieces;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The first bytes: as much as the header may have, and one byte more where the file has more. */
  get head(): Uint8Array {
    return this.#head;
  }

  /** Copies the bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#sizeBytes += bytes.byteLength;
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.#pieceBytes);
      this.#piece.set(part, this.#pieceBytes);
      this.#pieceBytes += part.byteLength;
      at += part.byteLength;
      if (this.#pieceBytes === PIECE_BYTES) await this.#stage();
    }
  }

  async finish(): Promise<void> {
    if (this.#pieceBytes > 0) await this.#stage();
  }

  /** Never throws: the Outbox sweeps too. */
  async discard(): Promise<void> {
    if (this.#pieces > 0) await this.imports.drop(this.id).catch(() => undefined);
  }

  async #stage(): Promise<void> {
    const piece = this.#piece.subarray(0, this.#pieceBytes);
    if (this.#pieces === 0) this.#head = piece.slice(0, MAX_RECORD_BYTES + 1);
    const index = this.#pieces++;
    const sealed = sealImportPiece(
      newestKey(this.keys),
      { accountId: this.#accountId, id: this.id },
      index,
      piece,
    );
    this.#pieceBytes = 0;
    const staging = this.imports.stage({ id: this.id, index, piece: sealed });
    // The call has its own copy by now.
    releaseBytes(sealed);
    const result = await staging;
    if (result === 'full') {
      throw new AppError('conflict', { reason: 'This account has too many imports that are not over yet.' });
    }
    if (result === 'lost') throw new AppError('unavailable');
  }
}

export async function openImportUpload(context: ServiceContext): Promise<ImportUpload> {
  await refuseUnconfirmed(context);
  return new ImportUpload(context, await getDataKeys(context));
}
