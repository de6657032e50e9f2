/**
 * Events of finished messages may wait a moment for a row that they share. After a crash they are found again
 * by comparing the log with the timelines of the finished messages above the saved low-water mark: those below
 * were logged before the mark was.
 */
import { parseMessageId } from '../../ids.ts';
import { type EventEntry, entriesOfTimeline, isMessageEntry } from '../webhooks/event-entry.ts';
import { positionAt } from '../webhooks/event-id.ts';
import type { EventLog } from './event-log.ts';
import type { MessageTable } from './message-table.ts';

const PAGE = 500;
/** How far the clocks of the Workers that make ids may be ahead of the log's. */
const CLOCK_SLACK_MS = 60_000;

export function recoverEvents(log: EventLog, messages: MessageTable, lowWater: string): void {
  let page = messages.listClosed(lowWater, PAGE);
  if (page.length === 0) return;
  const logged = keysSince(log, (parseMessageId(lowWater)?.createdAtMs ?? 0) - CLOCK_SLACK_MS);
  while (page.length > 0) {
    for (const { id, progress } of page) {
      const entries = entriesOfTimeline(id, progress.timeline);
      log.append(entries.filter((entry) => !logged.has(keyOf(entry))));
    }
    page = page.length < PAGE ? [] : messages.listClosed(page.at(-1)?.id ?? lowWater, PAGE);
  }
  log.flush(Date.now());
}

function keysSince(log: EventLog, sinceMs: number): ReadonlySet<string> {
  const keys = new Set<string>();
  let position = positionAt(sinceMs);
  for (let hasMore = true; hasMore; ) {
    const read = log.read(position, PAGE);
    for (const { entry } of read.entries) keys.add(keyOf(entry));
    position = read.position;
    hasMore = read.hasMore;
  }
  return keys;
}

/** That a message was sent is told once, at whatever time. */
function keyOf(entry: EventEntry): string {
  if (!isMessageEntry(entry)) return '';
  const when = entry.t === 'sent' ? '' : `${entry.a} ${entry.r?.join() ?? ''}`;
  return `${entry.m} ${entry.t} ${when}`;
}
