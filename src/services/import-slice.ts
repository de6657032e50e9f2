/**
 * A part of an import: from bytes of the file to contacts in D1. Its outcome is the same however often it is written:
 * a contact that a line makes has an id that follows from the import and the line, so a repetition sees what was made.
 */
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import { idTimeMs, importedContactId, newId } from '../ids.ts';
import {
  addCounts,
  type ImportCounts,
  type ImportOptions,
  type ImportSlice,
  NO_COUNTS,
  type Refusal,
  type SliceOutcome,
} from '../outbox/client.ts';
import type { AccountScope } from '../store/db.ts';
import { findContactIds } from '../store/imported-contacts.ts';
import { findLists } from '../store/lists.ts';
import { findTopics } from '../store/topics.ts';
import { type ContactInput, contactInputOf } from './contact-input.ts';
import { type ContactProperty, filterableIds, loadProperties } from './contact-properties.ts';
import { type CsvRecord, readRecords } from './csv-records.ts';
import { type InvitedByLine, mailImportConfirmations } from './import-confirmations.ts';
import { joinable } from './lists.ts';
import type { ServiceContext } from './service-context.ts';
import { MAX_UPSERT, type UpsertOptions, type UpsertOutcome, upsertContacts } from './upsert-contacts.ts';

interface Line {
  readonly line: number;
  readonly input: ContactInput;
}

export async function importSlice(
  { env, scope }: { readonly env: Env; readonly scope: AccountScope },
  slice: ImportSlice,
): Promise<SliceOutcome> {
  const { importId, options, position, bytes, isLast, mayBeRepeated } = slice;
  const { confirmations: asked } = options;
  const actor = {
    kind: 'api_key',
    keyId: options.keyId,
    ...(asked?.isTest && { isTest: true as const }),
  } as const;
  const origin = asked && { origin: asked.origin };
  const context: ServiceContext = { env, scope, actor, requestId: newId('request'), ...origin };
  const { delimiter } = options;
  const stretch = readRecords(bytes, position, { delimiter, limit: MAX_UPSERT, isLast });
  const properties = await loadProperties(context);
  const lines: Line[] = [];
  const refusals: Refusal[] = [];
  for (const record of stretch.records) {
    try {
      lines.push({ line: record.line, input: inputOf(record, options, properties) });
    } catch (error) {
      refusals.push(refusalOf(record.line, error));
    }
  }
  const writer = new Writer(context, importId, {
    onConflict: options.onConflict,
    ...(await membershipOf(scope, options)),
    filterable: filterableIds(properties),
  });
  await writer.write(lines, mayBeRepeated);
  const confirmations =
    asked &&
    (await mailImportConfirmations(context, writer.written, {
      importId,
      firstLine: position.line,
      listIds: options.listIds,
    }));
  refusals.push(...writer.refusals);
  refusals.sort((a, b) => a.line - b.line);
  const counts = { ...writer.counts, failed: refusals.length };
  const total = counts.created + counts.updated + counts.skipped + counts.failed;
  return {
    position: stretch.position,
    counts: { ...counts, total },
    refusals,
    ...(confirmations && { confirmations }),
  };
}

class Writer {
  counts: ImportCounts = NO_COUNTS;
  readonly refusals: Refusal[] = [];
  /** Those that a line has made or changed. */
  readonly written: InvitedByLine[] = [];
  readonly #context: ServiceContext;
  readonly #importId: string;
  readonly #options: UpsertOptions;

  constructor(context: ServiceContext, importId: string, options: UpsertOptions) {
    this.#context = context;
    this.#importId = importId;
    this.#options = options;
  }

  async write(lines: readonly Line[], mayBeRepeated: boolean): Promise<void> {
    const idOf = ({ line }: Line) => importedContactId(this.#importId, line);
    const made = mayBeRepeated
      ? await findContactIds(this.#context.scope, lines.map(idOf))
      : new Set<string>();
    const open = lines.filter((line) => !made.has(idOf(line)));
    const options = { ...this.#options, made: { ids: open.map(idOf), atMs: idTimeMs(this.#importId) } };
    const inputs = open.map(({ input }) => input);
    try {
      const outcomes = inputs.length > 0 ? await upsertContacts(this.#context, inputs, options) : [];
      this.#note(lines, open, { outcomes, made });
      const count = (wanted: string) => outcomes.filter(({ outcome }) => outcome === wanted).length;
      const counts = { updated: count('updated'), skipped: count('skipped') };
      const created = count('created') + made.size;
      this.counts = addCounts(this.counts, { ...NO_COUNTS, ...counts, created });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'invalid_field') throw error;
      // One contact is too large together with what is known of it. The others are not to suffer for it.
      const [first] = open;
      if (first && open.length === 1) {
        this.counts = addCounts(this.counts, { ...NO_COUNTS, created: made.size });
        this.refusals.push(refusalOf(first.line, error));
        return;
      }
      const middle = Math.ceil(lines.length / 2);
      await this.write(lines.slice(0, middle), true);
      await this.write(lines.slice(middle), true);
    }
  }

  #note(
    lines: readonly Line[],
    open: readonly Line[],
    { outcomes, made }: { outcomes: readonly UpsertOutcome[]; made: ReadonlySet<string> },
  ): void {
    for (const { line, input } of lines) {
      const id = importedContactId(this.#importId, line);
      if (made.has(id)) this.written.push({ id, email: input.address, line });
    }
    open.forEach(({ line, input }, index) => {
      const written = outcomes[index];
      if (written && written.outcome !== 'skipped')
        this.written.push({ id: written.id, email: input.address, line });
    });
  }
}

/** Lists and topics that are gone by now are left out: with them went who was on them. */
async function membershipOf(
  scope: AccountScope,
  { listIds, topics }: ImportOptions,
): Promise<Pick<UpsertOptions, 'lists' | 'topics'>> {
  const topicIds = topics.map(({ id }) => id);
  const [lists, known] = await Promise.all([findLists(scope, listIds), findTopics(scope, topicIds)]);
  return {
    lists: lists.filter(({ isDynamic }) => !isDynamic).map(joinable),
    topics: topics.filter(({ id }) => known.some((topic) => topic.id === id)),
  };
}

function inputOf(
  record: CsvRecord,
  { columns, width }: ImportOptions,
  properties: ReadonlyMap<string, ContactProperty>,
): ContactInput {
  if ('problem' in record) throw new UnreadableLine(record.problem);
  const { cells } = record;
  if (cells.some((cell) => cell.includes('\ufffd'))) throw new UnreadableLine('it is not UTF-8');
  if (cells.slice(width).some((cell) => cell !== '')) {
    throw new UnreadableLine(`it has more than the ${width} cells of the header`);
  }
  const cell = (column: number | undefined) => cellOf(cells, column);
  const email = cell(columns.email);
  if (email === undefined) throw refused('email', 'is empty');
  const values: Record<string, unknown> = {};
  for (const { key, column, isBoolean } of columns.properties) {
    const text = cell(column);
    const type = properties.get(key)?.type;
    // A property that is gone by now is left out.
    if (text === undefined || type === undefined) continue;
    values[key] = isBoolean ? flagOf(text, `properties.${key}`) : type === 'number' ? numberOf(text) : text;
  }
  const unsubscribed = cell(columns.unsubscribed);
  return contactInputOf(properties, {
    email,
    firstName: cell(columns.firstName),
    lastName: cell(columns.lastName),
    // An old file is not to subscribe somebody again who has unsubscribed since.
    unsubscribed: (unsubscribed !== undefined && flagOf(unsubscribed, 'unsubscribed')) || undefined,
    properties: values,
  });
}

/** Without the apostrophe that an export puts before what a spreadsheet would take for a formula. */
const GUARD = /^'(?=[=+\-@\t\r])/;

/** undefined where the cell is empty: what is known stays as it is. */
function cellOf(cells: readonly string[], column: number | undefined): string | undefined {
  const text = column === undefined ? undefined : cells[column]?.trim().replace(GUARD, '');
  return text === '' ? undefined : text;
}

function numberOf(text: string): number | string {
  // What is no number is left for the property to refuse.
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}

const FLAGS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  y: true,
  1: true,
  false: false,
  no: false,
  n: false,
  0: false,
};

function flagOf(text: string, field: string): boolean {
  const name = text.toLowerCase();
  const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
  if (flag === undefined) throw refused(field, 'must be true or false');
  return flag;
}

function refused(field: string, reason: string): AppError {
  return new AppError('invalid_field', { field, reason });
}

/** About a line as a whole, not about a field of it. */
class UnreadableLine extends Error {}

function refusalOf(line: number, error: unknown): Refusal {
  if (error instanceof AppError && error.code === 'invalid_field') return { line, reason: error.message };
  if (error instanceof UnreadableLine) return { line, reason: `The line cannot be read: ${error.message}.` };
  throw error;
}
