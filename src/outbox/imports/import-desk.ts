/** Where callers of the object hand in imports and ask about them. */
import { RpcTarget } from 'cloudflare:workers';
import { releaseBytes } from '../../crypto/release-bytes.ts';
import type { ImportApi, ImportPageRequest, ImportToStart, PieceOfImport } from './import-api.ts';
import type { ImportOffice } from './import-office.ts';

export class ImportDesk extends RpcTarget implements ImportApi, Disposable {
  readonly #office: ImportOffice;
  readonly #onWrite: () => void;

  /** `onWrite`: the object learns whose it is, and its next alarm may be another one. */
  constructor(office: ImportOffice, onWrite: () => void) {
    super();
    this.#office = office;
    this.#onWrite = onWrite;
  }

  async stage(given: PieceOfImport) {
    const result = this.#office.table.put(given, Date.now());
    releaseBytes(given.piece);
    this.#onWrite();
    return result;
  }

  async start(given: ImportToStart) {
    this.#onWrite();
    return this.#office.start(given);
  }

  async drop(id: string) {
    return this.#office.table.drop(id);
  }

  async find(id: string) {
    return this.#office.table.find(id);
  }

  async list(page: ImportPageRequest) {
    return this.#office.table.list(page);
  }

  async readRefusals(id: string) {
    return this.#office.table.listRefusals(id);
  }

  /** Called when the last caller has given it back. */
  [Symbol.dispose](): void {}
}
