/**
 * An answer of a resolver in JSON (`application/dns-json`). Whoever runs a zone writes what is in it, so nothing of it
 * is taken on trust: it has to be about what was asked, addresses have to be addresses, and they have to belong to the
 * end of the chain of aliases that begins with the name. Names in it are compared, and used for nothing else.
 */
import * as z from 'zod';

export const RECORD_TYPES = { A: 1, AAAA: 28 } as const;
export type AddressType = keyof typeof RECORD_TYPES;

const CNAME = 5;
const NO_ERROR = 0;
const NO_SUCH_NAME = 3;
const MAX_RECORDS = 100;
const MAX_ALIASES = 16;

/** Printable ASCII, as long as a name with every octet escaped may be. */
const dnsName = z
  .string()
  .regex(/^[\x21-\x7e]{1,1024}$/)
  .transform((text) => text.toLowerCase().replace(/(?<=.)\.$/, ''));
const recordType = z.int().min(0).max(0xffff);

const answerSchema = z.object({
  Status: z.int().min(0).max(0xffff),
  TC: z.literal(false).optional(),
  Question: z.array(z.object({ name: dnsName, type: recordType })).length(1),
  Answer: z
    .array(z.object({ name: dnsName, type: recordType, data: z.string().max(70_000) }))
    .max(MAX_RECORDS)
    .optional(),
});

/** The addresses of the name as they stand there, maybe none; undefined where the answer says nothing that can be used. */
export function addressesIn(text: string, host: string, type: AddressType): readonly string[] | undefined {
  const parsed = answerSchema.safeParse(jsonOf(text));
  if (!parsed.success) return undefined;
  const { Status, Question, Answer = [] } = parsed.data;
  const [question] = Question;
  if (question?.name !== host || question.type !== RECORD_TYPES[type]) return undefined;
  if (Status === NO_SUCH_NAME) return [];
  if (Status !== NO_ERROR) return undefined;
  const end = endOfAliases(host, Answer);
  const records = Answer.filter((record) => record.type === RECORD_TYPES[type]);
  const isSound =
    end !== undefined && records.every(({ name, data }) => name === end && isAddress(data, type));
  return isSound ? records.map(({ data }) => data) : undefined;
}

/** Undefined where aliases go round, or a name has two. */
function endOfAliases(
  host: string,
  records: readonly { readonly name: string; readonly type: number; readonly data: string }[],
): string | undefined {
  const aliases = new Map<string, string>();
  for (const { name, type, data } of records) {
    if (type !== CNAME) continue;
    const target = dnsName.safeParse(data);
    if (!target.success || aliases.has(name)) return undefined;
    aliases.set(name, target.data);
  }
  let end = host;
  for (let steps = 0; steps <= MAX_ALIASES; steps++) {
    const next = aliases.get(end);
    if (next === undefined) return end;
    end = next;
  }
  return undefined;
}

/** By its looks; what it means is for `addressKind`, which takes what it cannot read for one that is not public. */
function isAddress(text: string, type: AddressType): boolean {
  return type === 'A' ? /^\d{1,3}(?:\.\d{1,3}){3}$/.test(text) : /^(?=.*:)[0-9a-f:.]{2,45}$/i.test(text);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
