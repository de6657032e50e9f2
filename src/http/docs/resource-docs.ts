/**
 * How the routes of one resource are described. A description imports the request schemas that the handlers
 * validate with, and defines the responses. Descriptions are read by a script and by tests: nothing of them
 * may be imported by the Worker.
 */
import * as z from 'zod';
import type { ErrorCode } from '../../errors.ts';
import { ID_PREFIXES, type IdKind } from '../../ids.ts';

export interface ResourceDocs {
  readonly tag: string;
  readonly description: string;
  /** By `METHOD /path/:parameter`, as the route is registered. */
  readonly operations: Readonly<Record<string, OperationDocs>>;
}

export interface OperationDocs {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  /** `key` under /v1 and `operator` under /v1/admin, where it is not said. */
  readonly access?: 'key' | 'sending_key' | 'operator' | 'public';
  /** What each parameter of the path is. */
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  readonly body?: BodyDocs;
  readonly responses: Readonly<Record<number, ResponseDocs>>;
  /** On top of those that follow from authentication, a body, a query and an id in the path. */
  readonly errors?: readonly ErrorCode[];
}

export interface BodyDocs {
  readonly schema: z.ZodType;
  readonly example: unknown;
  /** JSON where it is not said; then the errors of reading JSON are not implied either. */
  readonly contentType?: string;
  /** The request may have none. */
  readonly optional?: boolean;
}

export interface ResponseDocs extends BodyDocs {
  readonly description: string;
  /** Texts that a request may ask for in place of it: an example by content type. */
  readonly alternatives?: Readonly<Record<string, string>>;
  /** Names and what they say. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A copy of a request schema that says what its fields are; or shows another type for a field checked elsewhere. */
export function describeFields<S extends z.ZodObject>(
  schema: S,
  texts: { readonly [K in keyof S['shape']]?: string | z.ZodType },
): z.ZodObject {
  const shape: Record<string, z.ZodType> = {};
  for (const [name, text] of Object.entries<string | z.ZodType | undefined>(texts)) {
    const field = schema.shape[name];
    if (text === undefined || !field) throw new Error(`there is no field ${name}`);
    shape[name] = typeof text === 'string' ? (field as z.ZodType).meta({ description: text }) : text;
  }
  return schema.safeExtend(shape);
}

export const PAGE_TEXTS = {
  limit: 'How many to return, 1 to 100.',
  after: 'The id of the last object of a page: returns those that follow it, which are older.',
  before:
    'The id of the first object of a page: returns those before it, which are newer. Not together with `after`.',
} as const;

/** A page of a list, newest first. */
export function pageOf(item: z.ZodType) {
  return z.object({
    object: z.literal('list'),
    has_more: z.boolean().meta({ description: 'Whether more follow in the direction of the cursor.' }),
    data: z.array(item),
  });
}

export function examplePage(...items: readonly unknown[]) {
  return { object: 'list', has_more: false, data: items };
}

export function idOf(kind: IdKind) {
  return z.string().regex(new RegExp(`^${ID_PREFIXES[kind]}_[0-9a-hjkmnp-tv-z]{26}$`));
}

/** A fixed id for examples. */
export function exampleId(kind: IdKind): string {
  return `${ID_PREFIXES[kind]}_01jdf3x8a0q4m7wz2e5c9tgkbn`;
}

export const EXAMPLE_TIME = '2026-11-24T09:30:00.000Z';

/** Milliseconds and `Z`. */
export const isoTime = z.iso.datetime();

export function deletedOf(object: string, kind: IdKind) {
  return z.object({ object: z.literal(object), id: idOf(kind), deleted: z.literal(true) });
}
