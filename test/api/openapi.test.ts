import { expect, it } from 'vitest';
import document from '../../public/v1/openapi.json';
import { app } from '../../src/app.ts';

it('The description has every route, and no other', () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const registered = new Set(
    app.routes
      .filter((route) => route.method !== 'ALL')
      .map((route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}')}`),
  );
  expect(described.sort()).toEqual([...registered].sort());
});
