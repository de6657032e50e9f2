/**
 * Before every file of the `system` project: whatever a relay under test answers to `fetch`, also to that of
 * an SDK, must be as the API's description says. What a caller swallows fails the test afterwards.
 */
import { afterEach } from 'vitest';
import { validateResponse } from './validate-response.ts';

const faults: Error[] = [];
const plainFetch = globalThis.fetch;

globalThis.fetch = async (input, init) => {
  const response = await plainFetch(input, init);
  // Nothing else that tests talk to has an id like it.
  if (!response.headers.get('x-request-id')?.startsWith('req_')) return response;
  if (!/^application\/json\b/.test(response.headers.get('content-type') ?? '')) return response;
  let body: string;
  try {
    body = await response.clone().text();
  } catch {
    // Cut short on purpose: the caller sees it too.
    return response;
  }
  const request = new Request(input, init && { ...init, body: null });
  try {
    const { pathname: path } = new URL(request.url);
    validateResponse({ method: request.method, path, status: response.status, body });
  } catch (error) {
    faults.push(error as Error);
    throw error;
  }
  return response;
};

afterEach(() => {
  const fault = faults.shift();
  faults.length = 0;
  if (fault) throw fault;
});
