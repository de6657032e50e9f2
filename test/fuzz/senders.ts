/** Who sends a request. */
import fc from 'fast-check';
import { SECRET_MARK } from './hostile.ts';
import type { Operation } from './operations.ts';

/** `sending` may only send, `made` is a key that a request made, `registered` that of an
 * account whose address is not confirmed, `closed` belonged to an account that is closed. */
export type Sender =
  | 'owner'
  | 'other'
  | 'sending'
  | 'made'
  | 'registered'
  | 'closed'
  | 'operator'
  | 'wrong'
  | 'broken'
  | 'none';

export function rightSender({ access, operationId }: Operation): fc.Arbitrary<Sender> {
  if (operationId === 'resendConfirmation') return fc.constant('registered');
  if (access === 'operator') return fc.constant('operator');
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant<Sender>('owner') },
    { weight: 4, arbitrary: fc.constant<Sender>('other') },
    { weight: 1, arbitrary: fc.constantFrom<Sender>('sending', 'made') },
  );
}

export const anySender = fc.constantFrom<Sender>(
  'owner',
  'other',
  'sending',
  'made',
  'registered',
  'closed',
  'operator',
  'wrong',
  'broken',
  'none',
);

/** The whole `Authorization` header of those who have no key. */
export const WRONG_KEYS: readonly string[] = [
  `Bearer er_live_${SECRET_MARK}`,
  `Bearer ${SECRET_MARK}${'x'.repeat(2000)}`,
  `Bearer re_${SECRET_MARK}`,
  `bearer  ${SECRET_MARK} x`,
];

export const BROKEN_KEYS: readonly string[] = [
  'Bearer',
  'Bearer ',
  'Basic YTpi',
  'Token x',
  '\xe9',
  'Bearer \xe9',
  'Bearer a,Bearer b',
];
