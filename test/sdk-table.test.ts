import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SDK_SUPPORT } from '../scripts/sdk-support.ts';
import { sdkMethods } from '../scripts/sdk-surface.ts';
import { SDK_PAGE, sdkTable } from '../scripts/sdk-table.ts';

describe('the table of the official SDK', () => {
  test('names every method that the SDK has, and no other', () => {
    const methods = sdkMethods();
    expect(methods.length).toBeGreaterThan(130);
    expect(methods).toContain('webhooks.events.attempts.list');
    expect(Object.keys(SDK_SUPPORT).sort()).toEqual(methods);
  });

  test('stands in the docs as it is', () => {
    expect(readFileSync(SDK_PAGE, 'utf8')).toBe(sdkTable());
  });
});
