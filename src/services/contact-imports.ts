/** Imports of contacts: what somebody asks for, checked against the header of the file, and what became of it. */
import { AppError } from '../errors.ts';
import { idTimeMs, isId } from '../ids.ts';
import {
  type ImportOptions,
  type ImportPageRequest,
  type ImportPosition,
  type ImportRecord,
  importDeskOf,
  openRefusals,
  type Refusal,
  sealImportOptions,
} from '../outbox/client.ts';
import { getDataKeys } from './account-state.ts';
import { loadProperties } from './contact-properties.ts';
import { type ColumnMap, columnsOf } from './csv-columns.ts';
import { MAX_RECORD_BYTES, readRecords } from './csv-records.ts';
import type { ImportUpload } from './import-upload.ts';
import type { Page } from './listing.ts';
import { joinableLists } from './lists.ts';
import { isTestActor, type ServiceContext } from './service-context.ts';
import { checkTopics, type TopicChoice } from './topics.ts';
import { originOf } from './unsubscribe-links.ts';

export interface ImportRequest {
  readonly columnMap: ColumnMap;
  readonly onConflict: 'upsert' | 'skip';
  readonly listIds: readonly string[];
  readonly topics: readonly TopicChoice[];
  /** Needs a list with double opt-in. */
  readonly sendsConfirmations: boolean;
}

export interface ContactImport extends ImportRecord {
  readonly createdAtMs: number;
}

/** The file is read. Answers once the Outbox has all that it needs. */
export async function startImport(
  context: ServiceContext,
  upload: ImportUpload,
  request: ImportRequest,
): Promise<void> {
  const { scope, actor } = context;
  await upload.finish();
  const { delimiter, header, start } = readHeader(upload);
  const properties = await loadProperties(context);
  const { listIds, topics, onConflict } = request;
  const columns = columnsOf(header, request.columnMap, properties);
  const lists = await joinableLists(context, listIds, (index) => `segments[${index}].id`);
  const confirmations = request.sendsConfirmations ? confirmationsOf(context, lists) : undefined;
  if (topics.length > 0) await checkTopics(context, topics, (index) => `topics[${index}].id`);
  const options: ImportOptions = {
    keyId: actor.kind === 'api_key' ? actor.keyId : actor.kind,
    delimiter,
    width: header.length,
    columns,
    onConflict,
    listIds,
    topics,
    ...(confirmations && { confirmations }),
  };
  const { id, pieces, sizeBytes } = upload;
  const sealed = sealImportOptions(upload.keys, { accountId: scope.accountId, id }, options);
  const given = { id, pieces, sizeBytes, options: sealed, start, asksToConfirm: confirmations !== undefined };
  if ((await upload.imports.start(given)) === 'lost') throw new AppError('unavailable');
}

function confirmationsOf(
  context: ServiceContext,
  lists: Awaited<ReturnType<typeof joinableLists>>,
): NonNullable<ImportOptions['confirmations']> {
  if (!lists.some(({ status }) => status === 'pending')) {
    throw new AppError('invalid_field', {
      field: 'send_confirmations',
      reason: 'needs a list with double opt-in in `segments`',
    });
  }
  const origin = originOf(context);
  if (origin === undefined) throw new AppError('unavailable');
  return { origin, isTest: isTestActor(context.actor) };
}

const BOM = [0xef, 0xbb, 0xbf];
const DELIMITERS = [',', ';', '\t'];

interface Header {
  readonly delimiter: string;
  readonly header: readonly string[];
  /** Where the first line after it begins. */
  readonly start: ImportPosition;
}

/** By the delimiter that makes the most columns of it: spreadsheets of some languages write semicolons. */
function readHeader({ head, sizeBytes }: ImportUpload): Header {
  const byte = BOM.every((value, index) => head[index] === value) ? BOM.length : 0;
  const isLast = sizeBytes <= MAX_RECORD_BYTES;
  const place = { byte, line: 1, isInsideRefused: false };
  const [first, ...others] = DELIMITERS.map((delimiter) => {
    const { records, position } = readRecords(head.subarray(byte), place, { delimiter, limit: 1, isLast });
    return { delimiter, record: records[0], position };
  });
  const best = others.reduce((one, other) => (widthOf(other) > widthOf(one) ? other : one), first ?? NONE);
  const { record, delimiter, position } = best;
  if (!record) throw unreadable('it has no header');
  if ('problem' in record) throw unreadable(`of the header, ${record.problem}`);
  if (record.cells.some((cell) => cell.includes('\ufffd'))) throw unreadable('it is not UTF-8');
  return { delimiter, header: record.cells, start: position };
}

type Attempt = Pick<Header, 'delimiter'> & {
  readonly record: ReturnType<typeof readRecords>['records'][number] | undefined;
  readonly position: ImportPosition;
};
const NONE: Attempt = {
  delimiter: ',',
  record: undefined,
  position: { byte: 0, line: 1, isInsideRefused: false },
};

function widthOf({ record }: Attempt): number {
  return record && 'cells' in record ? record.cells.length : 0;
}

function unreadable(reason: string): AppError {
  return new AppError('invalid_field', { field: 'file', reason });
}

export async function getImport(context: ServiceContext, id: string): Promise<ContactImport> {
  const found = isId('contactImport', id) ? await importsOf(context).find(id) : undefined;
  if (!found) throw notFound();
  return shown(found);
}

/** Newest first. */
export async function listImports(
  context: ServiceContext,
  page: ImportPageRequest,
): Promise<Page<ContactImport>> {
  const { rows, hasMore } = await importsOf(context).list(page);
  return { rows: rows.map(shown), hasMore };
}

/** What was written stays; nothing more is. */
export async function deleteImport(context: ServiceContext, id: string): Promise<void> {
  if (!isId('contactImport', id) || !(await importsOf(context).drop(id))) throw notFound();
}

/** In the order of the lines. At most so many as are kept, which may be fewer than were refused. */
export async function* exportRefusals(context: ServiceContext, id: string): AsyncGenerator<Refusal> {
  await getImport(context, id);
  const keys = await getDataKeys(context);
  const identity = { accountId: context.scope.accountId, id };
  for (const sealed of await importsOf(context).readRefusals(id)) yield* openRefusals(keys, identity, sealed);
}

function importsOf({ env, scope }: ServiceContext) {
  return importDeskOf(env, scope.accountId);
}

function shown(record: ImportRecord): ContactImport {
  return { ...record, createdAtMs: idTimeMs(record.id) };
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Contact import' });
}
