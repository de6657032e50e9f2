/** Where callers of the object start broadcasts and ask about them, and where shard 0 asks for a shard's part. */
import { RpcTarget } from 'cloudflare:workers';
import type { BroadcastApi } from './broadcast-api.ts';
import type { BroadcastOffice } from './broadcast-office.ts';
import type { BroadcastPage, BroadcastPartApi } from './part-api.ts';

export class BroadcastDesk extends RpcTarget implements BroadcastApi, Disposable {
  readonly #office: BroadcastOffice;
  readonly #onWrite: () => void;

  /** `onWrite`: the object learns whose it is, and its next alarm may be another one. */
  constructor(office: BroadcastOffice, onWrite: () => void) {
    super();
    this.#office = office;
    this.#onWrite = onWrite;
  }

  async start(given: { readonly id: string; readonly scheduledAtMs?: number }) {
    this.#onWrite();
    return this.#office.start(given);
  }

  async pause(id: string) {
    return this.#office.pause(id);
  }

  async resume(id: string) {
    return this.#office.resume(id);
  }

  async cancel(id: string) {
    return this.#office.cancel(id);
  }

  async find(ids: readonly string[]) {
    return this.#office.find(ids);
  }

  /** Called when the last caller has given it back. */
  [Symbol.dispose](): void {}
}

export class BroadcastPartDesk extends RpcTarget implements BroadcastPartApi, Disposable {
  readonly #part: BroadcastPartApi;
  readonly #onWrite: () => void;

  constructor(part: BroadcastPartApi, onWrite: () => void) {
    super();
    this.#part = part;
    this.#onWrite = onWrite;
  }

  async read(ids: readonly string[]) {
    return this.#part.read(ids);
  }

  async room(shards: number) {
    return this.#part.room(shards);
  }

  async fence(page: BroadcastPage) {
    this.#onWrite();
    return this.#part.fence(page);
  }

  async stop(broadcastId: string) {
    this.#onWrite();
    return this.#part.stop(broadcastId);
  }

  /** Called when the last caller has given it back. */
  [Symbol.dispose](): void {}
}
