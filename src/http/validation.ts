/** From zod's findings to our errors: the first one, named by the field, never with its value. */
import type { MiddlewareHandler } from 'hono';
import type * as z from 'zod';
import { AppError } from '../errors.ts';
import type { AppTypes } from './app-types.ts';

const FIELD_LENGTH_LIMIT = 100;

/** `prefix` goes before the field's name: `[3].` for the fourth item of a batch. */
export function validate<T>(schema: z.ZodType<T>, value: unknown, prefix = ''): T {
  const result = schema.safeParse(value);
  if (!result.success) throw errorOf(result.error, value, prefix);
  return result.data;
}

/** Middleware for the query: `c.req.valid('query')`. What is given several times is a list. */
export function queryOf<T>(
  schema: z.ZodType<T>,
): MiddlewareHandler<AppTypes, string, { in: { query: T }; out: { query: T } }> {
  return async (c, next) => {
    const given = c.req.queries();
    const single = Object.entries(given).map(([name, all]) => [name, all.length === 1 ? all[0] : all]);
    const result = schema.safeParse(Object.fromEntries(single));
    if (!result.success) throw errorOf(result.error, given);
    c.req.addValidatedData('query', result.data as object);
    await next();
  };
}

interface Finding {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
  readonly errors?: readonly (readonly Finding[])[];
}

function errorOf(error: { readonly issues: readonly Finding[] }, value: unknown, prefix = ''): AppError {
  const finding = deepest(error.issues[0] ?? { path: [], message: 'is wrong' });
  if (finding.code === 'unrecognized_keys') {
    return new AppError('unknown_field', {
      field: prefix + fieldName([...finding.path, finding.keys?.[0] ?? '']),
    });
  }
  const field = prefix + fieldName(finding.path);
  if (finding.path.length === 0) {
    return new AppError('invalid_field', { field: `${prefix}body`, reason: reasonOf(finding) });
  }
  const isOfWrongType = finding.code === 'invalid_type' || finding.code === 'invalid_union';
  if (isOfWrongType && valueAt(value, finding.path) === undefined) {
    return new AppError('missing_field', { field });
  }
  return new AppError('invalid_field', { field, reason: reasonOf(finding) });
}

/** Of a union, the branch that got furthest; the union itself where none got anywhere. */
function deepest(finding: Finding): Finding {
  if (finding.code !== 'invalid_union' || !finding.errors) return finding;
  let best: Finding | undefined;
  for (const branch of finding.errors) {
    const first = branch[0];
    if (first && first.path.length > 0 && (!best || first.path.length > best.path.length)) best = first;
  }
  return best ? deepest({ ...best, path: [...finding.path, ...best.path] }) : finding;
}

/** Our schemas' own messages are kept; zod's are put into our form, without the pattern of a format. */
function reasonOf(finding: Finding): string {
  if (finding.code === 'invalid_union') return 'is not of an accepted type';
  if (finding.code === 'invalid_format') return 'does not have the right form';
  const text = finding.message.replace(/^Invalid (?:input|option): /, '').replace(/^Too (?:big|small): /, '');
  return text.slice(0, 200);
}

/** `attachments[0].content`; cut, because a key of the customer's may be part of it. */
function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`;
    else name += name === '' ? String(part) : `.${String(part)}`;
  }
  return name.length > FIELD_LENGTH_LIMIT ? `${name.slice(0, FIELD_LENGTH_LIMIT)}…` : name;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}
