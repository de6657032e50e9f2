import type { Capabilities, Reply } from './types.ts';

/** What a server offers that knows HELO only. */
export const NO_CAPABILITIES: Capabilities = readCapabilities({ code: 250, lines: [''] });

/** Reads the reply to EHLO (RFC 5321 section 4.1.1.1); its first line is the greeting. */
export function readCapabilities(reply: Reply): Capabilities {
  const offered = new Map<string, readonly string[]>();
  const keywords: string[] = [];
  for (const line of reply.lines.slice(1)) {
    // `AUTH=LOGIN` is the form from before RFC 2554, still sent by some servers next to the right one.
    const [keyword = '', ...parameters] = line
      .toUpperCase()
      .replace(/^AUTH=/, 'AUTH ')
      .trim()
      .split(/\s+/);
    if (keyword === '') continue;
    if (!offered.has(keyword)) keywords.push(keyword);
    offered.set(keyword, [...(offered.get(keyword) ?? []), ...parameters]);
  }
  return {
    pipelining: offered.has('PIPELINING'),
    eightBitMime: offered.has('8BITMIME'),
    smtpUtf8: offered.has('SMTPUTF8'),
    enhancedStatusCodes: offered.has('ENHANCEDSTATUSCODES'),
    size: offered.has('SIZE') ? sizeLimit(offered.get('SIZE')?.[0]) : undefined,
    authMethods: offered.get('AUTH') ?? [],
    startTls: offered.has('STARTTLS'),
    keywords,
  };
}

function sizeLimit(parameter: string | undefined): number {
  return /^\d{1,15}$/.test(parameter ?? '') ? Number(parameter) : 0;
}
