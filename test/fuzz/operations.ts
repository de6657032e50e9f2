/** What there is to be fuzzed: every operation of the API's description, whatever routes that has by now. */
import type { ResponseValidator } from '../support/validate-response.ts';

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

interface Media {
  readonly schema: Schema;
  readonly example?: unknown;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Body extends Media {
  readonly contentType: string;
}

export interface Operation {
  /** `POST /v1/emails`. */
  readonly at: string;
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  readonly access: 'public' | 'key' | 'operator';
  readonly parameters: readonly Parameter[];
  readonly bodies: readonly Body[];
  /** For each parameter of the path that is an id, its prefix. */
  readonly idPrefixes: Readonly<Record<string, string>>;
  /** Content types by status. */
  readonly answers: ReadonlyMap<number, readonly string[]>;
}

interface DocumentOperation {
  readonly operationId: string;
  readonly security?: readonly Record<string, unknown>[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>;
}

type Paths = Readonly<Record<string, Readonly<Record<string, DocumentOperation>>>>;

/** Those of attachments have their place behind them. */
export const ID = /[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}(?:_\d{1,3})?/;

export function operationsOf({ document }: ResponseValidator): Operation[] {
  const paths: Paths = document.paths;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, it]) => ({
      at: `${method.toUpperCase()} ${path}`,
      operationId: it.operationId,
      method: method.toUpperCase(),
      path,
      access: accessOf(it),
      parameters: it.parameters ?? [],
      bodies: Object.entries(it.requestBody?.content ?? {}).map(([contentType, media]) => ({
        contentType,
        ...media,
      })),
      idPrefixes: idPrefixesOf(paths, path),
      answers: new Map(
        Object.entries(it.responses).map(([status, { content }]) => [
          Number(status),
          Object.keys(content ?? {}),
        ]),
      ),
    })),
  );
}

/** The schema that a reference stands for. */
export function resolveSchema(validator: ResponseValidator, schema: Schema): Schema {
  if (schema.$ref === undefined) return schema;
  const { $ref, ...rest } = schema;
  const target = validator.document.components.schemas[$ref.split('/').at(-1) ?? ''];
  return { ...resolveSchema(validator, target), ...rest };
}

function accessOf({ security }: DocumentOperation): Operation['access'] {
  if (!security || security.length === 0) return 'public';
  return security.some((one) => 'operatorToken' in one) ? 'operator' : 'key';
}

/** A path does not say of what kind its ids are. The examples of its answers, and of the collection's, do. */
function idPrefixesOf(paths: Paths, path: string): Record<string, string> {
  const prefixes: Record<string, string> = {};
  const parts = path.split('/');
  parts.forEach((part, at) => {
    const name = /^\{((?!name\b|n\b)\w+)\}$/.exec(part)?.[1];
    if (name === undefined) return;
    const object = parts.slice(0, at + 1).join('/');
    const collection = parts.slice(0, at).join('/');
    const examples = [object, collection].flatMap((each) =>
      Object.values(paths[each] ?? {}).flatMap((it) =>
        Object.entries(it.responses)
          .filter(([status]) => Number(status) < 300)
          .flatMap(([, { content }]) => Object.values(content ?? {}).map(({ example }) => example)),
      ),
    );
    const ids = examples.map(idIn).filter((id) => id !== undefined);
    if (ids[0] !== undefined) prefixes[name] = ids[0].slice(0, 3);
  });
  return prefixes;
}

/** Of an object, or of the first one of a list. */
function idIn(example: unknown): string | undefined {
  if (typeof example !== 'object' || example === null) return undefined;
  const { id, data } = example as { id?: unknown; data?: unknown };
  if (typeof id === 'string' && ID.test(id)) return id;
  return Array.isArray(data) ? idIn(data[0]) : undefined;
}
