/**
 * How long an account's mail is kept: content (texts, headers, attachments), and metadata (addresses, subjects, states,
 * timelines, and the log of events). The settings of the deployment are the default, and the longest there is.
 */
import type { Settings } from '../env.ts';

export interface Retention {
  /** 0: content goes in the commit that ends the last delivery. */
  readonly bodyDays: number;
  readonly metadataDays: number;
}

/** What an account asks for; null: as the settings say. */
export interface WantedRetention {
  readonly bodyDays: number | null;
  readonly metadataDays: number | null;
}

export type RetentionSettings = Pick<Settings, 'BODY_RETENTION_DAYS' | 'METADATA_RETENTION_DAYS'>;

/** An id is accepted for a day, and a doubt may be looked at the day after. */
export const MIN_METADATA_DAYS = 1;

/** Content never outlives its metadata: without a row nothing is found. */
export function retentionInForce(settings: RetentionSettings, wanted?: WantedRetention): Retention {
  const { BODY_RETENTION_DAYS, METADATA_RETENTION_DAYS } = settings;
  const longest = Math.max(METADATA_RETENTION_DAYS, BODY_RETENTION_DAYS);
  const metadataDays = Math.min(wanted?.metadataDays ?? longest, longest);
  return {
    bodyDays: Math.min(wanted?.bodyDays ?? BODY_RETENTION_DAYS, BODY_RETENTION_DAYS, metadataDays),
    metadataDays,
  };
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Of a message that has ended: when a sweep may take its content. Days are those of UTC. */
export function contentKeptUntil(
  { bodyDays }: Retention,
  { createdAtMs, scheduledAtMs = 0 }: { readonly createdAtMs: number; readonly scheduledAtMs?: number },
): number {
  const day = Math.floor(Math.max(createdAtMs, scheduledAtMs) / DAY_MS);
  return (day + bodyDays + 1) * DAY_MS;
}
