/** Before every file of the `workers` project: the schema, and a tap on every statement after it. */
import { applyD1Migrations } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterAll, expect } from 'vitest';
import { tapFaults, tapStatements } from './statement-tap.ts';

await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
tapStatements(env.DB);

afterAll(() => {
  expect(tapFaults()).toEqual([]);
});
