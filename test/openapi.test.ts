/** The API's description: that it is up to date, valid, and complete; and that answers are held against it. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, test } from 'vitest';
import { ResponseValidator } from './support/validate-response.ts';

const ROOT = join(import.meta.dirname, '..');
const validator = new ResponseValidator();
const { document } = validator;

interface Operation {
  readonly at: string;
  readonly parts: readonly string[];
  // biome-ignore lint/suspicious/noExplicitAny: an operation of the document
  readonly it: any;
}

const OPERATIONS: Operation[] = Object.entries<Record<string, unknown>>(document.paths).flatMap(
  ([path, methods]) =>
    Object.entries(methods).map(([method, it]) => ({
      at: `${method.toUpperCase()} ${path}`,
      parts: ['paths', path, method],
      it,
    })),
);

interface Media {
  readonly schema: unknown;
  readonly example?: unknown;
  readonly examples?: Record<string, { $ref: string }>;
}

/** What is wrong with the examples of a body. */
function exampleFaults(operation: Operation, parts: readonly string[], media: Media): string[] {
  const referred = Object.values(media.examples ?? {}).map(
    ({ $ref }) => document.components.examples[$ref.split('/').at(-1) ?? ''].value,
  );
  const examples = media.example === undefined ? referred : [media.example, ...referred];
  if (examples.length === 0) return [`${operation.at}: ${parts.join(' ')} has no example`];
  return examples.flatMap((example) => {
    const fault = validator.schemaFaultOf([...operation.parts, ...parts, 'schema'], example);
    return fault === undefined ? [] : [`${operation.at}: ${parts.join(' ')}: ${fault}`];
  });
}

describe('the OpenAPI document', () => {
  test('is what the routes and their descriptions make', () => {
    const run = () => execFileSync(process.execPath, [join(ROOT, 'scripts/openapi.ts'), '--check']);
    expect(run).not.toThrow();
  }, 60_000);

  test('is valid OpenAPI 3.1 for an independent validator', async () => {
    const result = await new Validator().validate(structuredClone(document));
    expect(result).toMatchObject({ valid: true });
    expect(document.openapi).toMatch(/^3\.1\./);
    const broken = { ...structuredClone(document), paths: { '/x': { get: { responses: 'none' } } } };
    expect(await new Validator().validate(broken)).toMatchObject({ valid: false });
  });

  test('gives every operation an id of its own, a summary and error responses', () => {
    expect(OPERATIONS.length).toBeGreaterThan(30);
    const ids = OPERATIONS.map(({ it }) => it.operationId);
    expect(new Set(ids).size).toBe(OPERATIONS.length);
    for (const { at, it } of OPERATIONS) {
      expect([at, typeof it.operationId, typeof it.summary]).toEqual([at, 'string', 'string']);
      const statuses = Object.keys(it.responses).map(Number);
      expect([at, statuses.some((status) => status < 300)]).toEqual([at, true]);
      expect([at, statuses]).toEqual([at, expect.arrayContaining([500, 503])]);
      const isOpen = it.security.length === 0;
      expect([at, statuses.includes(401)]).toEqual([at, !isOpen]);
    }
  });

  test('has examples for all bodies, and they fit their schemas', { timeout: 120_000 }, () => {
    const faults = OPERATIONS.flatMap((operation) => [
      ...Object.entries<Media>(operation.it.requestBody?.content ?? {}).flatMap(([type, media]) =>
        exampleFaults(operation, ['requestBody', 'content', type], media),
      ),
      ...Object.entries<{ content: Record<string, Media> }>(operation.it.responses).flatMap(
        ([status, { content }]) =>
          Object.entries(content).flatMap(([type, media]) =>
            exampleFaults(operation, ['responses', status, 'content', type], media),
          ),
      ),
    ]);
    expect(faults).toEqual([]);
  });

  test('says what every field of a request and every parameter is', () => {
    const unsaid = OPERATIONS.flatMap(({ at, it }) => {
      const schema = it.requestBody?.content['application/json']?.schema;
      const target = schema?.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema;
      const fields = Object.entries<{ description?: string }>(target?.properties ?? {});
      return [
        ...fields.filter(([, field]) => !field.description).map(([name]) => `${at}: ${name}`),
        ...(it.parameters ?? [])
          .filter((one: { description?: string }) => !one.description)
          .map((one: { name: string }) => `${at}: ${one.name}`),
      ];
    });
    expect(unsaid).toEqual([]);
  });

  test('has no part in the Worker', () => {
    const importers = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.docs.ts') && !file.includes('http/docs/'))
      .filter((file) =>
        /from '[^']*(?:\.docs\.ts|\/docs\/[a-z-]+\.ts)'|zod-openapi/.test(
          readFileSync(join(ROOT, 'src', file), 'utf8'),
        ),
      );
    expect(importers).toEqual([]);
  });
});

describe('a response', () => {
  const id = 'msg_01jdf3x8a0q4m7wz2e5c9tgkbn';
  const faultOf = (method: string, path: string, status: number, body: unknown) =>
    validator.faultOf({ method, path, status, body: JSON.stringify(body) });
  const error = (statusCode: number, name: string, code: string) => ({
    statusCode,
    name,
    message: 'x',
    code,
    request_id: 'req_01jdf3x8a0q4m7wz2e5c9tgkbn',
  });

  const suppression = { object: 'suppression', id: 'sup_01jdf3x8a0q4m7wz2e5c9tgkbn' };
  const add = (body: unknown, path = '/v1/suppressions') => faultOf('POST', path, 201, body);

  test('that is as described has no fault', () => {
    expect(add(suppression, '/v1/suppressions?x=1')).toBeUndefined();
    expect(faultOf('GET', `/v1/emails/${id}`, 404, error(404, 'not_found', 'not_found'))).toBeUndefined();
  });

  test('with a missing, wrong or undescribed field is refused, and the field is named', () => {
    expect(add({ object: 'suppression' })).toContain("required property 'id'");
    expect(add({ ...suppression, id: 7 })).toContain('/id must be string');
    expect(add({ ...suppression, secret: 1 })).toContain('"additionalProperty":"secret"');
    expect(faultOf('POST', '/v1/emails/batch', 200, { data: [{ id, x: 1 }] })).toContain('/data/0');
    expect(validator.faultOf({ method: 'GET', path: '/health', status: 200, body: 'ok' })).toContain(
      'not JSON',
    );
  });

  test('with a status or an error that its operation does not have is refused', () => {
    expect(faultOf('POST', '/v1/emails', 201, { id })).toContain('does not know');
    expect(faultOf('GET', '/v1/emails', 409, error(409, 'validation_error', 'conflict'))).toContain(
      'not know',
    );
    const wrong = error(422, 'invalid_from_address', 'invalid_from');
    expect(faultOf('GET', '/v1/emails', 422, wrong)).toContain('/code must be equal to one of');
  });

  test('to an unknown path is the general error', () => {
    const unknown = error(404, 'not_found', 'route_not_found');
    expect(faultOf('GET', '/v1/nothing', 404, unknown)).toBeUndefined();
    expect(faultOf('GET', '/v1/nothing', 404, { ...unknown, code: 'unheard_of' })).toContain('/code');
    expect(faultOf('GET', '/v1/nothing', 200, {})).toContain('does not know');
  });
});
