/**
 * Addresses that stand for an outcome instead of a person. They work with test keys, and mail to them never leaves:
 * a live key is refused, also for those that the hosted service of the wire format offers.
 */
import type { Mailbox } from './types.ts';

/** Under a name that can never be registered (RFC 2606). */
export const TEST_DOMAIN = 'test.edge-relay.invalid';
const HOSTED_DOMAIN = 'resend.dev';

export type TestOutcome = 'delivered' | 'bounced' | 'deferred' | 'complained' | 'in_doubt';

const OUTCOMES: readonly TestOutcome[] = ['delivered', 'bounced', 'deferred', 'complained', 'in_doubt'];
const HOSTED_OUTCOMES: readonly TestOutcome[] = ['delivered', 'bounced', 'complained'];

/** What becomes of a simulated copy: as the address says (`bounced@`, `bounced+label@`), else delivered. */
export function testOutcomeOf(mailbox: Mailbox): TestOutcome {
  return namedOutcome(mailbox) ?? 'delivered';
}

export function isTestAddress(mailbox: Mailbox): boolean {
  return mailbox.domain === TEST_DOMAIN || namedOutcome(mailbox) !== undefined;
}

function namedOutcome({ local, domain }: Mailbox): TestOutcome | undefined {
  const known = domain === TEST_DOMAIN ? OUTCOMES : domain === HOSTED_DOMAIN ? HOSTED_OUTCOMES : [];
  const [name = ''] = local.toLowerCase().split('+');
  return known.find((outcome) => outcome === name);
}
