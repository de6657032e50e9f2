import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newWebhookSecret, signWebhook } from '../../src/crypto/webhook-signature.ts';

const CORPUS = join(import.meta.dirname, '../../../shared/corpora/standard-webhooks/vectors.json');

interface Vector {
  readonly secret: string;
  readonly id: string;
  readonly timestamp: number;
  readonly payload: string;
  readonly signature: string;
}

describe('the signature', () => {
  test.skipIf(!existsSync(CORPUS))('is that of the Standard Webhooks vectors', () => {
    const { sign }: { sign: Vector[] } = JSON.parse(readFileSync(CORPUS, 'utf8'));
    expect(sign.length).toBeGreaterThan(0);
    for (const { secret, id, timestamp, payload, signature } of sign) {
      const content = { id, timestampSeconds: timestamp, body: payload };
      expect(signWebhook([secret], content)).toBe(signature);
      expect(signWebhook([secret.replace('whsec_', '')], content)).toBe(signature);
    }
  });

  test('is made with each secret, separated by spaces', () => {
    const content = { id: 'evt_1', timestampSeconds: 1, body: '{}' };
    const [one, other] = [newWebhookSecret(), newWebhookSecret()];
    const both = signWebhook([one, other], content);
    expect(both).toBe(`${signWebhook([one], content)} ${signWebhook([other], content)}`);
  });

  test('changes with the id, the time and the body', () => {
    const secret = newWebhookSecret();
    const content = { id: 'evt_1', timestampSeconds: 1, body: '{}' };
    const signatures = [
      content,
      { ...content, id: 'evt_2' },
      { ...content, timestampSeconds: 2 },
      { ...content, body: '[]' },
    ].map((signed) => signWebhook([secret], signed));
    expect(new Set(signatures).size).toBe(4);
  });

  test('is not made with an empty secret', () => {
    expect(() => signWebhook(['whsec_'], { id: 'x', timestampSeconds: 1, body: '' })).toThrow();
  });

  test('has a secret of 24 to 64 random bytes', () => {
    const secrets = Array.from({ length: 50 }, newWebhookSecret);
    expect(new Set(secrets).size).toBe(50);
    for (const secret of secrets) {
      expect(Buffer.from(secret.slice(6), 'base64').byteLength).toBeGreaterThanOrEqual(24);
    }
  });
});
