/**
 * Values that a schema of the description accepts. What it cannot say (an address of a verified domain, the
 * port of a server that exists) is in `hintsOf`, by the name of the field, or by operation and name where it
 * means something else there. A route whose valid requests never succeed needs a line there.
 */
import fc from 'fast-check';
import type { ResponseValidator } from '../support/validate-response.ts';
import { anyJson, anyText, SECRET_MARK, TEXT_MARK } from './hostile.ts';
import { resolveSchema, type Schema } from './operations.ts';
import { ADDRESSES, domainToken, idToken, LINK_KIND } from './tokens.ts';

export interface Surroundings {
  readonly validator: ResponseValidator;
  readonly smtpPort: number;
  /** An HTTP server that takes whatever it is sent. */
  readonly sinkUrl: string;
}

/** What the SMTP server under test lets in. */
export const SMTP_LOGIN = { username: 'fuzz', secret: `${SECRET_MARK}pw` };

export class Values {
  readonly #surroundings: Surroundings;
  readonly #hints: Readonly<Record<string, fc.Arbitrary<unknown>>>;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#hints = hintsOf(surroundings);
  }

  /** A body or a parameter of an operation; `example` gives way to what the hints know better. */
  of(operationId: string, schema: Schema, example?: unknown): fc.Arbitrary<unknown> {
    return this.#value(operationId, schema, { depth: 0, example });
  }

  named(operationId: string, name: string, schema: Schema): fc.Arbitrary<unknown> {
    return this.#hintFor(operationId, name) ?? this.of(operationId, schema);
  }

  #hintFor(operationId: string, name: string): fc.Arbitrary<unknown> | undefined {
    for (const key of [`${operationId}.${name}`, name])
      if (Object.hasOwn(this.#hints, key)) return this.#hints[key];
    return undefined;
  }

  #value(
    operationId: string,
    given: Schema,
    { depth, example }: { depth: number; example?: unknown },
  ): fc.Arbitrary<unknown> {
    const schema = resolveSchema(this.#surroundings.validator, given);
    if (depth > 6) return fc.constant(null);
    if ('const' in schema) return fc.constant(schema.const);
    if (schema.enum) return fc.constantFrom(...schema.enum);
    const options = schema.anyOf ?? schema.oneOf;
    if (options)
      return fc.oneof(...options.map((one) => this.#value(operationId, one, { depth: depth + 1, example })));
    if (schema.allOf) {
      const whole = schema.allOf.map((one) => resolveSchema(this.#surroundings.validator, one));
      return this.#value(operationId, merged(whole), { depth: depth + 1, example });
    }
    if (Array.isArray(schema.type)) {
      const types = schema.type as readonly string[];
      return fc.oneof(
        ...types.map((type) => this.#value(operationId, { ...schema, type }, { depth, example })),
      );
    }
    switch (schema.type) {
      case 'string':
        return stringOf(schema);
      case 'integer':
      case 'number':
        return numberOf(schema);
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array': {
        const minLength = schema.minItems ?? 0;
        const maxLength = Math.max(minLength, Math.min(schema.maxItems ?? 5, 5));
        const first = Array.isArray(example) ? example[0] : undefined;
        const item = this.#value(operationId, schema.items ?? {}, { depth: depth + 1, example: first });
        return fc.array(item, { minLength, maxLength });
      }
      case 'object':
        return this.#object(operationId, schema, { depth, example });
      default:
        return anyJson;
    }
  }

  /** What is required and what the example has; and often a few of the others. */
  #object(
    operationId: string,
    schema: Schema,
    options: { depth: number; example?: unknown },
  ): fc.Arbitrary<unknown> {
    const { depth, example } = options;
    const properties = Object.entries(schema.properties ?? {});
    if (properties.length === 0) {
      const inner = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
      const key = fc.constantFrom('X-Fuzz', 'x-other', 'a', 'x'.repeat(70));
      return fc.dictionary(key, this.#value(operationId, inner, { depth: depth + 1 }), { maxKeys: 3 });
    }
    const fields = Object.fromEntries(
      properties.map(([name, field]) => {
        const known = isRecord(example) ? example[name] : undefined;
        const made = this.#value(operationId, field, { depth: depth + 1, example: known });
        const hint = this.#hintFor(operationId, name);
        if (hint) return [name, fc.oneof({ weight: 9, arbitrary: hint }, { weight: 1, arbitrary: made })];
        if (known === undefined) return [name, made];
        return [name, fc.oneof({ weight: 2, arbitrary: fc.constant(known) }, { weight: 1, arbitrary: made })];
      }),
    );
    const wanted = new Set([...(schema.required ?? []), ...(isRecord(example) ? Object.keys(example) : [])]);
    const others = properties.map(([name]) => name).filter((name) => !wanted.has(name));
    const more = fc.oneof(
      fc.constant<string[]>([]),
      fc.subarray(others, { maxLength: Math.min(others.length, 3) }),
    );
    return fc
      .tuple(fc.record(fields), more)
      .map(([all, chosen]) =>
        Object.fromEntries(
          Object.entries(all as object).filter(([name]) => wanted.has(name) || chosen.includes(name)),
        ),
      );
  }
}

function hintsOf({ smtpPort, sinkUrl }: Surroundings): Record<string, fc.Arbitrary<unknown>> {
  const address = fc.constantFrom(...Object.values(ADDRESSES));
  const addresses = fc.oneof(
    address,
    address.map((one) => `Name <${one}>`),
    fc.uniqueArray(address, { minLength: 1, maxLength: 4 }),
  );
  const newDomain = fc.stringMatching(/^[a-z0-9]{12}$/).map((name) => `${name}.example`);
  const inFuture = fc.oneof(
    fc.constantFrom('in 5 min', 'in 2 hours', 'in 1 day'),
    fc.integer({ min: 1, max: 600 }).map((hours) => new Date(Date.now() + hours * 3_600_000).toISOString()),
  );
  const page = fc.constantFrom('1', '2', '20', '100');
  return {
    from: fc.constantFrom(`fuzz@${domainToken}`, `Fuzz ${TEXT_MARK} <fuzz@${domainToken}>`),
    to: addresses,
    cc: addresses,
    bcc: addresses,
    reply_to: address,
    recipient: address,
    email: address,
    emails: fc.uniqueArray(address, { minLength: 1, maxLength: 4 }),
    return_path: fc.constant(`bounces@${domainToken}`),
    subject: fc.string({ maxLength: 40 }).map((text) => TEXT_MARK + text.replace(/\p{C}/gu, '')),
    text: anyText,
    html: anyText,
    content: fc.base64String({ maxLength: 400 }),
    filename: fc.constantFrom('a.txt', 'bild ü.png', 'x'.repeat(200)),
    path: fc.constant('https://fuzz.invalid/file'),
    host: fc.constantFrom('127.0.0.1', 'localhost'),
    port: fc.oneof({ weight: 5, arbitrary: fc.constant(smtpPort) }, { weight: 1, arbitrary: fc.constant(1) }),
    tls: fc.constantFrom('none', 'none', 'none', 'starttls', 'implicit'),
    'createDomain.tls': fc.constantFrom('opportunistic', 'enforced'),
    username: fc.constant(SMTP_LOGIN.username),
    password: fc.constant(SMTP_LOGIN.secret),
    url: fc.constant(sinkUrl),
    endpoint: fc.constant(sinkUrl),
    relay: idToken('own', 'rly'),
    relay_id: idToken('own', 'rly'),
    domain_id: idToken('own', 'dom'),
    ids: fc.array(idToken('own', 'sup'), { minLength: 1, maxLength: 3 }),
    segments: fc.array(
      idToken('own', 'lst').map((id) => ({ id })),
      { maxLength: 2 },
    ),
    audience_id: idToken('own', 'lst'),
    segment_id: idToken('own', 'lst'),
    list_id: idToken('own', 'lst'),
    topic_id: idToken('own', 'top'),
    topics: fc.array(
      fc.record({ id: idToken('own', 'top'), subscription: fc.constantFrom('opt_in', 'opt_out') }),
      { maxLength: 2 },
    ),
    domain: fc.constantFrom('example.net', 'example.org'),
    filter: fc.oneof(
      idToken('own', 'lst').map((list) => ({ not: { list } })),
      fc.constant({ or: [{ domain: 'example.net' }, { unsubscribed: false }] }),
      anyJson,
    ),
    properties: fc.dictionary(fc.constantFrom('fuzz', 'fuzz', 'other'), anyText, { maxKeys: 2 }),
    key: fc.stringMatching(/^[a-z]{1,12}$/),
    scheduled_at: inFuture,
    since: fc
      .integer({ min: 1, max: 48 })
      .map((hours) => new Date(Date.now() - hours * 3_600_000).toISOString()),
    types: fc.constantFrom('email.delivered', 'email.delivered,email.bounced'),
    limit: page,
    wait: fc.constantFrom('0', '0', '0', '1'),
    n: fc.constant('0'),
    'downloadAttachment.token': idToken('own', LINK_KIND),
    shards: fc.integer({ min: 1, max: 8 }),
    'createDomain.name': newDomain,
    'putVerifiedDomain.name': newDomain,
  };
}

function stringOf(schema: Schema): fc.Arbitrary<unknown> {
  const { format, pattern, minLength = 0, maxLength = 100 } = schema;
  const prefix = /^\^([a-z]{3})_/.exec(pattern ?? '')?.[1];
  if (prefix !== undefined) return idToken('own', prefix);
  if (format === 'email') return fc.constantFrom(...Object.values(ADDRESSES));
  if (format === 'date-time')
    return fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
      .map((at) => at.toISOString());
  if (format === 'uri') return fc.constant('https://fuzz.invalid/');
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern), { maxLength });
  return anyText.map((text) => text.slice(0, maxLength).padEnd(minLength, 'x'));
}

function numberOf(schema: Schema): fc.Arbitrary<unknown> {
  const min =
    schema.minimum ?? (schema.exclusiveMinimum === undefined ? -(2 ** 31) : schema.exclusiveMinimum + 1);
  const max =
    schema.maximum ?? (schema.exclusiveMaximum === undefined ? 2 ** 31 : schema.exclusiveMaximum - 1);
  const [low, high] = [Math.max(min, -(2 ** 31)), Math.min(max, 2 ** 31 - 1)];
  return fc.integer({ min: Math.min(low, high), max: high });
}

function merged(schemas: readonly Schema[]): Schema {
  return {
    ...Object.assign({}, ...schemas),
    properties: Object.assign({}, ...schemas.map(({ properties }) => properties)),
    required: schemas.flatMap(({ required }) => required ?? []),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
