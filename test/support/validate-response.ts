/**
 * Checks answers against the API's description with a validator that knows nothing of zod. In the file
 * objects are open, so that clients take no offence at a new field; here they are closed, so that none is
 * added without its description.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

const FILE = join(import.meta.dirname, '../../public/v1/openapi.json');
const DOCUMENT_ID = 'https://openapi.test/';

export interface SeenResponse {
  readonly method: string;
  /** With or without a query. */
  readonly path: string;
  readonly status: number;
  /** As text: empty where there was none. */
  readonly body: string;
}

// biome-ignore lint/suspicious/noExplicitAny: a document is walked by names that its own test has checked
type Json = any;

interface Route {
  readonly pattern: RegExp;
  readonly path: string;
  readonly weight: number;
}

/** One of the description, for tests of the validator itself. */
export class ResponseValidator {
  readonly document: Json;
  readonly #ajv: Ajv2020;
  readonly #routes: readonly Route[];
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Json = JSON.parse(readFileSync(FILE, 'utf8'))) {
    this.document = document;
    this.#ajv = new Ajv2020({ strict: false, allErrors: false, verbose: true });
    // The package is CommonJS, and its default is wrapped once more or not by who loads it.
    const addFormats = (formats as Json).default ?? formats;
    addFormats(this.#ajv);
    this.#ajv.addSchema(closed(document), DOCUMENT_ID);
    this.#routes = Object.keys(document.paths)
      .map((path) => ({
        path,
        pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+').replaceAll('.', '\\.')}$`),
        weight: path.split('{').length,
      }))
      // `/emails/batch` before `/emails/{id}`.
      .sort((one, other) => one.weight - other.weight);
  }

  /** What is wrong with an answer, in words; undefined where it is as described. */
  faultOf(seen: SeenResponse): string | undefined {
    if (seen.method === 'HEAD') return seen.body === '' ? undefined : 'HEAD answered with a body';
    const about = `${seen.method} ${seen.path} answered ${seen.status}`;
    const place = this.#placeOf(seen);
    if (place === undefined) return `${about}, which its description does not know`;
    let value: unknown;
    try {
      value = JSON.parse(seen.body);
    } catch {
      return `${about} with a body that is not JSON: ${seen.body.slice(0, 200)}`;
    }
    const validate = this.#validatorAt(place);
    if (validate(value)) return undefined;
    const error = validate.errors?.[0];
    const detail = JSON.stringify(error?.params);
    return `${about} with a body that does not fit its description: ${error?.instancePath || 'it'} ${error?.message} ${detail}\n${seen.body.slice(0, 2000)}`;
  }

  /** Where the schema stands, as a JSON pointer. What no operation answers is the general error. */
  #placeOf({ method, path, status }: SeenResponse): string | undefined {
    const [bare = ''] = path.split('?');
    const route = this.#routes.find(
      ({ pattern, path: each }) => pattern.test(bare) && this.document.paths[each][method.toLowerCase()],
    );
    if (!route) return status >= 400 ? '#/components/schemas/Error' : undefined;
    const answer = this.document.paths[route.path][method.toLowerCase()].responses[status];
    if (!answer?.content?.['application/json']) return undefined;
    const parts = ['paths', route.path, method.toLowerCase(), 'responses', String(status), 'content'];
    return `#/${[...parts, 'application/json', 'schema'].map(escaped).join('/')}`;
  }

  #validatorAt(place: string): ValidateFunction {
    let validate = this.#compiled.get(place);
    if (!validate) {
      validate = this.#ajv.compile({ $ref: DOCUMENT_ID + place });
      this.#compiled.set(place, validate);
    }
    return validate;
  }

  /** For a schema anywhere in the document, by the names that lead to it. */
  schemaFaultOf(parts: readonly string[], value: unknown): string | undefined {
    const validate = this.#validatorAt(`#/${parts.map(escaped).join('/')}`);
    if (validate(value)) return undefined;
    return this.#ajv.errorsText(validate.errors);
  }
}

let shared: ResponseValidator | undefined;

/** Throws with what is wrong, readable in a test's report. */
export function validateResponse(seen: SeenResponse): void {
  shared ??= new ResponseValidator();
  const fault = shared.faultOf(seen);
  if (fault !== undefined) throw new Error(fault);
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}

/** Every object that names its properties has no others; one that adds to a `$ref` leaves that to the other. */
function closed(value: Json): Json {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, closed(part)]));
  const isOpen = value.type === 'object' && value.properties && value.additionalProperties === undefined;
  return isOpen ? { ...copy, additionalProperties: false } : copy;
}
