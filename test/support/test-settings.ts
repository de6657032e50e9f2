/** Settings of a Worker under test: secrets that protect nothing, and loopback relays allowed. */
export const ADMIN_TOKEN = 'test-admin-token-0123456789abcdefghij';

export const TEST_SETTINGS: Readonly<Record<string, string>> = {
  ADMIN_TOKEN,
  MASTER_KEYS: '1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
  EHLO_NAME: 'relay.test',
  ALLOW_PRIVATE_RELAYS: 'true',
  ALLOW_PLAINTEXT_RELAYS: 'true',
  ALLOW_PRIVATE_WEBHOOKS: 'true',
  DNS_RESOLVER_URL: 'none',
};
