/** A short run with a fixed seed; `npm run test:fuzz` asks 20,000 times with another seed each time. */
import { describe, expect, test } from 'vitest';
import { ResponseValidator } from '../support/validate-response.ts';
import { runCampaign } from './campaign.ts';
import { faultOf, routedPath } from './judge.ts';
import { type Operation, operationsOf } from './operations.ts';
import { describeFinding } from './report.ts';

const validator = new ResponseValidator();
const operations = operationsOf(validator);

test('No request breaks a route, and every answer is as described', async () => {
  const result = await runCampaign({ seed: 20_261_124, requests: 1500 });
  expect(result.findings.map(describeFinding)).toEqual([]);
  // That every route was reached with success is for the long run to show: here chance decides.
  expect(result.requests).toBe(1500);
  expect(result.operations).toBeGreaterThan(30);
}, 300_000);

describe('an answer', () => {
  const requestId = 'req_01jdf3x8a0q4m7wz2e5c9tgkbn';
  const error = (change: Record<string, unknown> = {}) => ({
    statusCode: 404,
    name: 'not_found',
    message: 'Email not found',
    code: 'not_found',
    request_id: requestId,
    ...change,
  });

  function judge(body: unknown, change: { status?: number; headers?: Record<string, string> } = {}) {
    const operation = operations.find(({ at }) => at === 'GET /v1/emails/{id}') as Operation;
    const headers = {
      'x-request-id': requestId,
      'cache-control': 'no-store',
      'content-type': 'application/json',
    };
    const answer = {
      status: change.status ?? 404,
      headers: { ...headers, ...change.headers },
      body: Buffer.from(JSON.stringify(body)),
    };
    const authorization = 'Bearer er_live_inuse';
    const sent = {
      method: 'GET',
      path: '/v1/emails/x',
      headers: { authorization },
      body: undefined,
      chunked: false,
    };
    return faultOf({ operation, sent, answer, secrets: ['the-operators'] }, validator);
  }

  test('that is as described is no finding', () => {
    expect(judge(error())).toBeUndefined();
  });

  test('of the server having failed is a finding, even where it is described', () => {
    const unavailable = error({ statusCode: 503, name: 'application_error', code: 'unavailable' });
    expect(judge(unavailable, { status: 503 })?.kind).toBe('server error');
  });

  test('with a secret, or with content in an error, is a finding', () => {
    for (const word of ['zqsecretmarkqz', 'er_live_inuse', 'the-operators', 'zqtextmarkqz']) {
      expect([word, judge(error({ message: word }))?.kind]).toEqual([word, 'invalid answer']);
    }
  });

  test('of another shape, without its headers or with another id in its body is a finding', () => {
    expect(judge({ message: 'no' })?.text).toContain('required property');
    expect(judge(error(), { headers: { 'x-request-id': '' } })?.text).toContain('x-request-id');
    expect(judge(error(), { headers: { 'cache-control': 'public' } })?.text).toContain('cache-control');
    expect(judge(error(), { headers: { 'content-type': 'text/html' } })?.text).toContain('text/html');
    expect(judge(error({ request_id: requestId.replace('n', 'p') }))?.text).toContain('request_id');
    expect(judge(error({ statusCode: 410 }))?.text).toContain('410');
  });
});

test('A path is held against the description as the router reads it', () => {
  expect(routedPath('/v1/emails/%2e%2e')).toBe('/v1/emails/..');
  expect(routedPath('/v1/%65mails/x?y=%2e')).toBe('/v1/emails/x');
  expect(routedPath('/v1/emails/%2F%00%zz')).toBe('/v1/emails/%2F\0%zz');
});

test('The kind of the ids in a path is known from examples', () => {
  const prefixes = Object.fromEntries(operations.map(({ at, idPrefixes }) => [at, idPrefixes]));
  expect(prefixes['GET /v1/emails/{id}']).toEqual({ id: 'msg' });
  expect(prefixes['POST /v1/relays/{id}/verify']).toEqual({ id: 'rly' });
  expect(prefixes['PUT /v1/admin/accounts/{id}/domains/{name}']).toEqual({ id: 'acc' });
});
