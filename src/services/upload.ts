/**
 * Content on its way to the ledger, while its request is still being read. What fits into one piece stays in
 * memory and is handed on with the message; from the first full piece on, pieces are sealed and staged in the
 * shard that the message will go to, under the id that it will have.
 */
import { createHash } from 'node:crypto';
import { releaseBytes } from '../crypto/release-bytes.ts';
import type { SealingKey } from '../crypto/seal.ts';
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import { newMessageId, parseMessageId } from '../ids.ts';
import {
  chooseShard,
  type OutboxApi,
  openAttachment,
  outboxOf,
  PIECE_BYTES,
  sealPiece,
} from '../outbox/client.ts';
import { findAccountState } from './account-state.ts';
import type { ServiceContext } from './service-context.ts';

/** A part of an upload: an attachment, or a raw message. */
export interface UploadRange {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Bytes that were staged: what an attachment's content is when it is not in memory. */
export class StagedContent {
  readonly upload: Upload;
  readonly range: UploadRange;
  readonly sha256: Uint8Array;

  constructor(upload: Upload, range: UploadRange, sha256: Uint8Array) {
    this.upload = upload;
    this.range = range;
    this.sha256 = sha256;
  }

  get byteLength(): number {
    return this.range.sizeBytes;
  }
}

export type Content = Uint8Array | StagedContent;

export interface UploadOwner {
  readonly env: Env;
  readonly accountId: string;
  readonly shards: number;
  /** All keys of the account; the last one seals. */
  readonly keys: readonly SealingKey[];
}

export class Upload {
  readonly #owner: UploadOwner;
  #id: string;
  #piece = new Uint8Array();
  #pieceBytes = 0;
  readonly #full: Uint8Array[] = [];
  #stagedPieces = 0;
  #offset = 0;
  readonly #contents: { readonly range: UploadRange; readonly sha256: Uint8Array }[] = [];
  #hash = createHash('sha256');
  #start = 0;

  constructor(owner: UploadOwner, id = newMessageId(chooseShard(owner.shards, Math.random()))) {
    this.#owner = owner;
    this.#id = id;
  }

  /** The id that the message will have, unless its idempotency key has another. */
  get id(): string {
    return this.#id;
  }

  get stagedPieces(): number {
    return this.#stagedPieces;
  }

  get sizeBytes(): number {
    return this.#offset;
  }

  /** Copies the bytes. At most a few pieces may be written before `drain`. */
  write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#offset += bytes.byteLength;
    for (let at = 0; at < bytes.byteLength; ) {
      if (this.#piece.byteLength === 0) this.#piece = new Uint8Array(PIECE_BYTES);
      const part = bytes.subarray(at, at + PIECE_BYTES - this.#pieceBytes);
      this.#piece.set(part, this.#pieceBytes);
      this.#pieceBytes += part.byteLength;
      at += part.byteLength;
      if (this.#pieceBytes < PIECE_BYTES) continue;
      this.#full.push(this.#piece);
      this.#piece = new Uint8Array();
      this.#pieceBytes = 0;
    }
  }

  /** What was written since the last call is one content; returns its number. */
  endContent(): number {
    const range = { offset: this.#start, sizeBytes: this.#offset - this.#start };
    this.#contents.push({ range, sha256: new Uint8Array(this.#hash.digest()) });
    this.#start = this.#offset;
    this.#hash = createHash('sha256');
    return this.#contents.length - 1;
  }

  /** Stages what fills a piece. */
  async drain(): Promise<void> {
    for (let piece = this.#full.shift(); piece; piece = this.#full.shift()) await this.#stage(piece);
  }

  /** All is written. Where anything was staged, the rest is staged too. */
  async finish(): Promise<void> {
    await this.drain();
    if (this.#stagedPieces > 0) await this.#stageRest();
  }

  /** After `finish`: the bytes themselves where they were never staged. */
  contentOf(number: number): Content | undefined {
    const content = this.#contents[number];
    if (!content) return undefined;
    const { offset, sizeBytes } = content.range;
    if (this.#stagedPieces === 0) return this.#piece.slice(offset, offset + sizeBytes);
    return new StagedContent(this, content.range, content.sha256);
  }

  /**
   * Makes the staged bytes just these ranges, one after the other. They are already, unless an object of the
   * request had a member twice, of which the last one counts.
   */
  async arrange(ranges: readonly UploadRange[]): Promise<void> {
    if (this.#stagedPieces === 0 || isWhole(ranges, this.#offset)) return;
    await this.#copyTo(newMessageId(parseMessageId(this.#id)?.shard ?? 0), ranges);
  }

  /** For an idempotency key that was claimed for another id. */
  async moveTo(id: string): Promise<void> {
    if (id !== this.#id) await this.#copyTo(id, [{ offset: 0, sizeBytes: this.#offset }]);
  }

  /** A message has the staged pieces now. */
  handOver(): void {
    this.#stagedPieces = 0;
  }

  /** Drops what was staged and was not taken over by a message. Never throws: the ledger sweeps too. */
  async discard(): Promise<void> {
    this.#full.length = 0;
    if (this.#stagedPieces === 0) return;
    await this.#outbox.discardStaged(this.#id).catch(() => undefined);
  }

  /** Piece by piece: each is sealed for its place and has to be sealed anew. */
  async #copyTo(id: string, ranges: readonly UploadRange[]): Promise<void> {
    const target = new Upload(this.#owner, id);
    const { keys, accountId } = this.#owner;
    const identity = { accountId, id: this.#id };
    try {
      for (const range of ranges) {
        for await (const part of openAttachment(keys, identity, range, (index) => this.#read(index))) {
          target.write(part);
          await target.drain();
        }
      }
      await target.#stageRest();
    } catch (error) {
      await target.discard();
      throw error;
    }
    await this.discard();
    this.#id = id;
    this.#stagedPieces = target.#stagedPieces;
    this.#offset = target.#offset;
  }

  async #stageRest(): Promise<void> {
    if (this.#pieceBytes === 0) return;
    const rest = this.#piece.slice(0, this.#pieceBytes);
    releaseBytes(this.#piece);
    this.#piece = new Uint8Array();
    this.#pieceBytes = 0;
    await this.#stage(rest);
  }

  async #stage(piece: Uint8Array): Promise<void> {
    const { accountId, keys } = this.#owner;
    const key = keys.at(-1);
    if (!key) throw new AppError('unavailable');
    const index = this.#stagedPieces++;
    const sealed = sealPiece(key, { accountId, id: this.#id }, index, piece);
    releaseBytes(piece);
    const staging = this.#outbox.stagePiece(accountId, { id: this.#id, index, piece: sealed });
    // The call has its own copy by now.
    releaseBytes(sealed);
    const result = await staging;
    if (result !== 'staged') throw new AppError(result === 'full' ? 'overloaded' : 'unavailable');
  }

  async #read(index: number): Promise<Uint8Array> {
    const piece = await this.#outbox.readStagedPiece(this.#id, index);
    if (!piece) throw new AppError('unavailable');
    return piece;
  }

  get #outbox(): OutboxApi {
    return outboxOf(this.#owner.env, this.#owner.accountId, parseMessageId(this.#id)?.shard ?? 0);
  }
}

/** For one message of the account, under an id of its own. */
export async function openUpload({ env, scope }: ServiceContext): Promise<Upload> {
  const account = await findAccountState(env, scope);
  if (!account) throw new AppError('unavailable');
  const { shards, dataKeys } = account;
  return new Upload({ env, accountId: scope.accountId, shards, keys: dataKeys });
}

function isWhole(ranges: readonly UploadRange[], sizeBytes: number): boolean {
  let at = 0;
  for (const { offset, sizeBytes: length } of ranges) {
    if (offset !== at) return false;
    at += length;
  }
  return at === sizeBytes;
}
