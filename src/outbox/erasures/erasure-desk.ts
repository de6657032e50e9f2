/** Where callers of the object hand in erasures. */
import { RpcTarget } from 'cloudflare:workers';
import type { Erasure, ErasureApi } from './erasure-api.ts';
import type { ErasureOffice } from './erasure-office.ts';

export class ErasureDesk extends RpcTarget implements ErasureApi, Disposable {
  readonly #office: ErasureOffice;

  constructor(office: ErasureOffice) {
    super();
    this.#office = office;
  }

  async plan(erasure: Erasure) {
    await this.#office.plan(erasure);
  }

  async carryOut(erasure: Erasure) {
    await this.#office.carryOut(erasure);
  }

  /** Called when the last caller has given it back. */
  [Symbol.dispose](): void {}
}
