import { Hono } from 'hono';
import * as z from 'zod';
import { settingsOf } from '../../env.ts';
import { AppError } from '../../errors.ts';
import type { Refusal } from '../../outbox/client.ts';
import * as service from '../../services/contact-imports.ts';
import { openImportUpload } from '../../services/import-upload.ts';
import { type AppTypes, serviceContextOf } from '../app-types.ts';
import { bodyBudget } from '../body-budget.ts';
import { declaredLength, tooLarge } from '../body-stream.ts';
import { type ExportTable, exportResponse } from '../export-lines.ts';
import { readMultipart } from '../multipart.ts';
import { isoTime, listBody, pageQuery } from '../pagination.ts';
import { parseStrictJson } from '../strict-json.ts';
import { queryOf, validate } from '../validation.ts';
import { listIdsOf, listRefs, topicChoices } from './contact-fields.ts';

const MIB = 1024 * 1024;
/** What a request holds at most: the piece that fills, and two copies of one that is being staged. */
const HELD_BYTES = 4 * MIB;

const column = z.string().min(1).max(1000);

/** The fields beside `file`. All but `on_conflict` come as JSON. */
export const importFields = z.strictObject({
  column_map: z
    .strictObject({
      email: column.optional(),
      first_name: column.optional(),
      last_name: column.optional(),
      unsubscribed: column.optional(),
      properties: z
        .record(
          z.string().max(100),
          z.strictObject({ column, type: z.enum(['string', 'number', 'boolean']).optional() }),
        )
        .optional(),
    })
    .optional(),
  on_conflict: z.enum(['upsert', 'skip']).default('skip'),
  segments: listRefs.optional(),
  topics: topicChoices.optional(),
  send_confirmations: z.boolean().default(false),
});

export const importQuery = pageQuery.safeExtend({
  status: z.enum(['queued', 'in_progress', 'completed', 'failed']).optional(),
});
export const importErrorsQuery = z.strictObject({ format: z.enum(['csv', 'jsonl']).default('jsonl') });

export const contactImportRoutes = new Hono<AppTypes>()
  .post('/', async (c) => {
    const context = serviceContextOf(c);
    const settings = settingsOf(c.env);
    const fileBytes = settings.IMPORT_LIMIT_BYTES;
    if (declaredLength(c.req.header('content-length')) > fileBytes + MIB) throw tooLarge(fileBytes);
    const hold = bodyBudget.open(settings.ISOLATE_BODY_LIMIT_BYTES);
    c.set('releaseBody', () => hold.release());
    hold.take(HELD_BYTES);
    const upload = await openImportUpload(context);
    try {
      const limits = { file: 'file', fields: Object.keys(importFields.shape), fileBytes };
      const texts = await readMultipart(c, limits, (bytes) => upload.write(bytes));
      await service.startImport(context, upload, requestOf(texts));
    } catch (error) {
      await upload.discard();
      throw error;
    }
    return c.json({ object: 'contact_import', id: upload.id }, 201);
  })
  .get('/', queryOf(importQuery), async (c) => {
    return c.json(listBody(await service.listImports(serviceContextOf(c), c.req.valid('query')), bodyOf));
  })
  .get('/:id', async (c) => {
    return c.json(bodyOf(await service.getImport(serviceContextOf(c), c.req.param('id'))));
  })
  .delete('/:id', async (c) => {
    const { id } = c.req.param();
    await service.deleteImport(serviceContextOf(c), id);
    return c.json({ object: 'contact_import', id, deleted: true });
  })
  .get('/:id/errors', queryOf(importErrorsQuery), async (c) => {
    const { format } = c.req.valid('query');
    const refusals = service.exportRefusals(serviceContextOf(c), c.req.param('id'));
    return exportResponse(c, format, REFUSALS, refusals);
  });

const REFUSALS: ExportTable<Refusal> = {
  name: 'import-errors',
  object: 'contact_import_error',
  end: 'export_end',
  columns: ['line', 'reason'],
  recordOf: (refusal) => refusal,
  cellsOf: ({ line, reason }) => [line, reason],
};

function bodyOf({ id, status, createdAtMs, completedAtMs, counts, confirmations }: service.ContactImport) {
  return {
    object: 'contact_import',
    id,
    status,
    created_at: isoTime(createdAtMs),
    completed_at: completedAtMs === undefined ? null : isoTime(completedAtMs),
    counts,
    confirmations: confirmations
      ? { mailed: confirmations.mailed, not_mailed: confirmations.notMailed }
      : null,
  };
}

function requestOf(texts: ReadonlyMap<string, string>): service.ImportRequest {
  const given = Object.fromEntries(
    [...texts].map(([name, text]) => [name, name === 'on_conflict' ? text : jsonOf(name, text)]),
  );
  const {
    column_map,
    on_conflict,
    segments = [],
    topics = [],
    send_confirmations,
  } = validate(importFields, given);
  return {
    columnMap: {
      email: column_map?.email,
      firstName: column_map?.first_name,
      lastName: column_map?.last_name,
      unsubscribed: column_map?.unsubscribed,
      properties: column_map?.properties,
      isGiven: column_map !== undefined,
    },
    onConflict: on_conflict,
    listIds: listIdsOf(segments),
    topics,
    sendsConfirmations: send_confirmations,
  };
}

function jsonOf(field: string, text: string): unknown {
  try {
    return parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError('invalid_field', { field, reason: 'must be JSON' });
  }
}
