/**
 * Which of an account's Outboxes a request goes to, and how their answers become one. A message id carries
 * its shard, so no index is needed; docs/decisions/0006-shards.md has the rules for idempotency keys.
 */
import { parseMessageId } from '../ids.ts';
import type { MessagePage, PageRequest } from './client.ts';

/** Holds the idempotency keys of the whole account. */
export const CLAIM_SHARD = 0;

/** One request goes to one shard as a whole. `random` is from 0 up to, not including, 1. */
export function chooseShard(shards: number, random: number): number {
  return Math.min(Math.floor(random * shards), shards - 1);
}

/** The shard of a request's messages; undefined where the first id is not one. */
export function shardOf(ids: readonly string[]): number | undefined {
  return parseMessageId(ids[0] ?? '')?.shard;
}

/** The part of an account's limit that each of its shards has. */
export function shareOf(limit: number, shards: number): number {
  return Math.ceil(limit / shards);
}

/** One page of the account, from a page of the same request of each shard. Newest first, like each of them. */
export function mergePages(pages: readonly MessagePage[], { limit, before }: PageRequest): MessagePage {
  const [only] = pages;
  if (only && pages.length === 1) return only;
  const messages = pages
    .flatMap((page) => page.messages)
    .sort((a, b) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0));
  // What is nearest to the cursor: with `before` those are the oldest of what was found.
  const shown = before === undefined ? messages.slice(0, limit) : messages.slice(-limit);
  return { messages: shown, hasMore: messages.length > limit || pages.some((page) => page.hasMore) };
}
