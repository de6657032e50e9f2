/** The addresses of a name, asked of a resolver over HTTPS. */
import { type AddressType, addressesIn } from './dns-answer.ts';
import { safeFetch } from './safe-fetch.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
const CONTENT_TYPE = /^application\/(?:dns-)?json\s*(?:;|$)/i;

export interface Resolver {
  /** Takes `name` and `type`, and answers `application/dns-json`. */
  readonly url: string;
  readonly timeoutMs: number;
}

/**
 * Maybe none. Undefined where the resolver did not say: it was not reached, did not answer in time, could not
 * find out, or answered what cannot be used. Half an answer is none: what is missing may be what matters.
 */
export async function lookUpHost(host: string, resolver: Resolver): Promise<readonly string[] | undefined> {
  const [a, aaaa] = await Promise.all([ask(host, 'A', resolver), ask(host, 'AAAA', resolver)]);
  return a && aaaa && [...a, ...aaaa];
}

async function ask(
  host: string,
  type: AddressType,
  { url, timeoutMs }: Resolver,
): Promise<readonly string[] | undefined> {
  const query = new URL(url);
  query.searchParams.set('name', host);
  query.searchParams.set('type', type);
  const answer = await safeFetch({
    url: query.href,
    method: 'GET',
    headers: { accept: 'application/dns-json' },
    timeoutMs,
    maxBytes: MAX_ANSWER_BYTES + 1,
  });
  if ('fault' in answer || answer.status !== 200 || answer.body.length > MAX_ANSWER_BYTES) return undefined;
  if (!CONTENT_TYPE.test(answer.headers.get('content-type') ?? '')) return undefined;
  return addressesIn(new TextDecoder().decode(answer.body), host, type);
}
