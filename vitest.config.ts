import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

/** Settings of the Worker under test: secrets that protect nothing, and loopback relays allowed. */
const TEST_SETTINGS = {
  ADMIN_TOKEN: 'test-admin-token-0123456789abcdefghij',
  MASTER_KEYS: '1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
  EHLO_NAME: 'relay.test',
  ALLOW_PRIVATE_RELAYS: 'true',
  ALLOW_PLAINTEXT_RELAYS: 'true',
  ALLOW_PRIVATE_WEBHOOKS: 'true',
  DNS_RESOLVER_URL: 'none',
};

export default defineConfig({
  test: {
    // The Worker logs a line for each request.
    silent: 'passed-only',
    // A process for each file would load everything anew, a good half of the time: the files of a project
    // share one, and count only what is their own.
    // Most tests wait for timers and sockets more than they compute.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: 'pure',
          isolate: false,
          include: [
            'test/{smtp,mime,render,delivery,crypto,relay-gate,model,webhooks,http,web}/**/*.test.ts',
            'test/*.test.ts',
          ],
          testTimeout: 30_000,
          environment: 'node',
        },
      },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: { ...TEST_SETTINGS, TEST_MIGRATIONS: await readD1Migrations('./migrations') },
            },
          })),
        ],
        test: {
          name: 'workers',
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          include: ['test/{store,ledger,gate,api,isolation}/**/*.test.ts'],
          setupFiles: ['test/support/apply-migrations.ts'],
          globalSetup: [
            'test/support/start-smtp-servers.ts',
            'test/support/start-response-validator.ts',
            'test/support/start-doh-server.ts',
          ],
        },
      },
      {
        test: {
          name: 'system',
          isolate: false,
          include: ['test/{outbox,system,faults,fuzz}/**/*.test.ts'],
          environment: 'node',
          setupFiles: ['test/support/validate-fetch.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // Thousands of messages, tens of megabytes, or several kills: `npm run test:large`, and part of `npm run check`.
          name: 'large',
          include: ['test/large/**/*.test.ts'],
          environment: 'node',
          setupFiles: ['test/support/validate-fetch.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
