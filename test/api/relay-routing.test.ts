import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import type { RelayUse } from '../../src/outbox/client.ts';
import { mergeRelayUses } from '../../src/services/relay-health.ts';
import { call, createAccount, jsonOf, type TestAccount, textAt } from '../support/control-plane.ts';

let account: TestAccount;
beforeAll(async () => {
  account = await createAccount();
});

const HOST = { host: 'smtp.example.com' };
const NO_LIMITS = { sessions: null, per_second: null, per_minute: null, per_day: null, per_session: null };
const post = (body: unknown) => call('/v1/relays', { key: account.key, body });
const patch = (id: string, body: unknown) =>
  call(`/v1/relays/${id}`, { method: 'PATCH', key: account.key, body });
const read = async (id: string) => jsonOf(await call(`/v1/relays/${id}`, { key: account.key }));

async function createRelay(body: unknown): Promise<string> {
  const response = await post(body);
  expect(response.status).toBe(201);
  return textAt(await jsonOf(response), 'id');
}

async function versionOf(id: string): Promise<number | undefined> {
  const statement = env.DB.prepare('SELECT version FROM relays WHERE "account_id" = ? AND id = ?');
  return (await statement.bind(account.id, id).first<{ version: number }>())?.version;
}

describe('the routing of a relay', () => {
  it('has defaults: every domain, an equal share, no limit', async () => {
    const id = await createRelay(HOST);
    expect(await read(id)).toMatchObject({ priority: 10, weight: 1, from_domains: [], limits: NO_LIMITS });
  });

  it('is created, and shown in the list too', async () => {
    const limits = { sessions: 5, per_second: 10, per_minute: 100, per_day: 50_000, per_session: 100 };
    const id = await createRelay({
      ...HOST,
      priority: 0,
      weight: 1000,
      from_domains: ['Example.COM', 'münchen.example', 'example.com'],
      limits,
    });
    const expected = {
      priority: 0,
      weight: 1000,
      from_domains: ['example.com', 'xn--mnchen-3ya.example'],
      limits,
    };
    expect(await read(id)).toMatchObject(expected);
    const list = await jsonOf(await call('/v1/relays?limit=100', { key: account.key }));
    expect(list.data).toContainEqual(expect.objectContaining({ id, ...expected }));
  });

  it('changes field by field, with a new version each time', async () => {
    const id = await createRelay({
      ...HOST,
      from_domains: ['a.example'],
      limits: { sessions: 5, per_day: 9 },
    });
    let version = await versionOf(id);
    for (const [change, expected] of [
      [{ priority: 3 }, { priority: 3, weight: 1, from_domains: ['a.example'] }],
      [{ weight: 7 }, { priority: 3, weight: 7 }],
      [{ from_domains: ['B.example'] }, { from_domains: ['b.example'] }],
      [{ limits: { per_second: 2 } }, { limits: { ...NO_LIMITS, sessions: 5, per_day: 9, per_second: 2 } }],
      [{ limits: { sessions: null } }, { limits: { ...NO_LIMITS, per_day: 9, per_second: 2 } }],
      [{ name: 'Renamed' }, { limits: { ...NO_LIMITS, per_day: 9, per_second: 2 }, weight: 7 }],
      [{ limits: {} }, { limits: { ...NO_LIMITS, per_day: 9, per_second: 2 } }],
      [{ limits: null }, { limits: NO_LIMITS }],
      [{ from_domains: [] }, { from_domains: [], priority: 3, weight: 7 }],
    ] as const) {
      const response = await patch(id, change);
      expect([response.status, await jsonOf(response)]).toEqual([200, expect.objectContaining(expected)]);
      expect(await read(id)).toMatchObject(expected);
      const next = await versionOf(id);
      expect(next).toBe((version ?? 0) + 1);
      version = next;
    }
  });

  it('refuses what cannot be, by name, on creation and on change', async () => {
    const id = await createRelay(HOST);
    const cases: [unknown, string][] = [
      [{ priority: -1 }, 'Invalid `priority` field: expected number to be >=0.'],
      [{ priority: 1.5 }, 'Invalid `priority` field: expected int, received number.'],
      [{ weight: 0 }, 'Invalid `weight` field: expected number to be >=1.'],
      [{ weight: 1001 }, 'Invalid `weight` field: expected number to be <=1000.'],
      [{ weight: null }, 'Invalid `weight` field: expected number, received null.'],
      [{ from_domains: 'a.example' }, 'Invalid `from_domains` field: expected array, received string.'],
      [
        { from_domains: ['a.example', 'b..example'] },
        'Invalid `from_domains[1]` field: the domain has an empty or overlong label.',
      ],
      [
        { from_domains: ['a@b.example'] },
        'Invalid `from_domains[0]` field: the domain contains a character that is not allowed.',
      ],
      [
        { from_domains: Array(101).fill('a.example') },
        'Invalid `from_domains` field: expected array to have <=100 items.',
      ],
      [{ limits: { sessions: 0 } }, 'Invalid `limits.sessions` field: expected number to be >=1.'],
      [
        { limits: { per_second: 10_001 } },
        'Invalid `limits.per_second` field: expected number to be <=10000.',
      ],
      [{ limits: { per_hour: 1 } }, 'Unknown field `limits.per_hour`.'],
      [{ limits: 5 }, 'Invalid `limits` field: expected object, received number.'],
    ];
    for (const [fields, message] of cases) {
      for (const response of [await post({ ...HOST, ...Object(fields) }), await patch(id, fields)]) {
        expect([response.status, textAt(await jsonOf(response), 'message')]).toEqual([422, message]);
      }
    }
    expect(await versionOf(id)).toBe(1);
  });
});

describe('the health of a relay', () => {
  it('of one that never carried anything is good', async () => {
    const id = await createRelay({ host: '127.0.0.1', port: inject('smtpPort'), tls: 'none' });
    const response = await call(`/v1/relays/${id}/health`, { key: account.key });
    expect([response.status, await jsonOf(response)]).toEqual([
      200,
      {
        object: 'relay_health',
        relay: id,
        breaker: 'closed',
        reopens_at: null,
        last_error: null,
        open_sessions: 0,
        delivered_last_minute: 0,
      },
    ]);
  });

  const use = (changes: Partial<RelayUse>): RelayUse => ({
    openSessions: 0,
    breaker: 'closed',
    deliveredLastMinute: 0,
    ...changes,
  });

  it.each<[string, RelayUse[], RelayUse]>([
    ['nothing where there is no outbox', [], use({})],
    [
      'sums of sessions and deliveries',
      [use({ openSessions: 2, deliveredLastMinute: 30 }), use({ openSessions: 1, deliveredLastMinute: 12 })],
      use({ openSessions: 3, deliveredLastMinute: 42 }),
    ],
    [
      'the worst breaker with its own time',
      [use({}), use({ breaker: 'open', reopensAtMs: 5 }), use({ breaker: 'half_open', reopensAtMs: 9 })],
      use({ breaker: 'open', reopensAtMs: 5 }),
    ],
    [
      'half open where none is worse',
      [use({ breaker: 'half_open' }), use({})],
      use({ breaker: 'half_open' }),
    ],
    [
      'the later time of two that are open',
      [use({ breaker: 'open', reopensAtMs: 5 }), use({ breaker: 'open', reopensAtMs: 9 })],
      use({ breaker: 'open', reopensAtMs: 9 }),
    ],
    [
      'the last fault of all',
      [
        use({ lastFault: { atMs: 1, reason: 'connect' } }),
        use({ lastFault: { atMs: 3, reason: 'auth', code: 535 } }),
        use({ lastFault: { atMs: 2, reason: 'banner', code: 421 } }),
      ],
      use({ lastFault: { atMs: 3, reason: 'auth', code: 535 } }),
    ],
  ])('over several outboxes is %s', (_, uses, expected) => {
    expect(mergeRelayUses(uses)).toEqual(expected);
    expect(mergeRelayUses([...uses].reverse())).toEqual(expected);
  });
});
