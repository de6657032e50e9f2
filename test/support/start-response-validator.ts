/**
 * Global set-up of the `workers` project: a validator for answers, which cannot run inside workerd, because
 * it makes its code from the description. Tests send it what they saw. Its `/echo` is an endpoint for webhooks.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestProject } from 'vitest/node';
import { ResponseValidator, type SeenResponse } from './validate-response.ts';

export default async function startResponseValidator(project: TestProject): Promise<() => Promise<void>> {
  const validator = new ResponseValidator();
  const server = createServer(async (request, response) => {
    // A customer's endpoint that answers with the end of what it was sent.
    if (request.url === '/echo') return response.end((await text(request)).slice(-200));
    const seen = JSON.parse(await text(request)) as SeenResponse;
    response.end(validator.faultOf(seen) ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  project.provide('validatorPort', (server.address() as AddressInfo).port);
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
}
