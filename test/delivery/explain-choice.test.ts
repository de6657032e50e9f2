import { describe, expect, test } from 'vitest';
import { explainChoice } from '../../src/delivery/explain-choice.ts';

const relay = (id: string, priority = 10, fromDomains: string[] = []) => ({
  id,
  priority,
  weight: 1,
  fromDomains,
});
const one = relay('one');
const two = relay('two');
const backup = relay('backup', 20);
const own = relay('own', 30, ['acme.example']);

function explain(relays: (typeof one)[], options: { named?: string; closed?: string[] } = {}) {
  const { named, closed = [] } = options;
  const message = { fromDomain: 'acme.example', ...(named === undefined ? {} : { relayId: named }) };
  const { chosen, others } = explainChoice(relays, message, {
    isClosed: ({ id }) => closed.includes(id),
    random: () => 0.5,
  });
  return [chosen && `${chosen.relayId} ${chosen.reason}`, ...others.map((o) => `${o.relayId} ${o.reason}`)];
}

describe('the choice of a relay', () => {
  test.each([
    ['the only one', explain([one]), ['one only_relay']],
    ['the first by priority', explain([backup, one]), ['one first_by_priority', 'backup comes_later']],
    [
      'one of equal priority',
      explain([one, two, backup]),
      ['one drawn_by_weight', 'two comes_later', 'backup comes_later'],
    ],
    ['one for the domain', explain([one, own]), ['own for_the_domain', 'one comes_later']],
    ['one that is named', explain([one, backup], { named: 'backup' }), ['backup named', 'one not_named']],
    ['the next open one', explain([one, backup], { closed: ['one'] }), ['backup next_open', 'one closed']],
    ['none where all are closed', explain([one], { closed: ['one'] }), [undefined, 'one all_closed']],
    [
      'none where all are for other domains',
      explain([relay('x', 1, ['other.example'])]),
      [undefined, 'x for_other_domains'],
    ],
    [
      'none where the named one is closed',
      explain([one, two], { named: 'one', closed: ['one'] }),
      [undefined, 'one all_closed', 'two not_named'],
    ],
  ])('says why it is %s', (_what, explained, wanted) => {
    expect(explained).toEqual(wanted);
  });
});
