/** Addresses that an account does not mail: kept as keyed hashes, with the address sealed beside them. */
import { suppressionHash } from '../crypto/address-hash.ts';
import { newestKey, type SealingKey, seal, unseal } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import { isId, newId } from '../ids.ts';
import { parseMailbox } from '../mime/address.ts';
import type { Page, PageOf } from '../store/page.ts';
import type { SuppressionOrigin } from '../store/schema/suppressions.ts';
import * as store from '../store/suppressions.ts';
import { recordAccountEvents } from './account-events.ts';
import { getDataKeys } from './account-state.ts';
import { bareAddressOf } from './bare-address.ts';
import { actorName, type ServiceContext } from './service-context.ts';

export interface Suppression {
  readonly id: string;
  /** null where the address was erased: what is suppressed is known by its hash alone. */
  readonly email: string | null;
  readonly origin: SuppressionOrigin;
  readonly sourceId: string | null;
  readonly createdAt: number;
}

export interface NewSuppressionOptions {
  /** By hand where it is not given. */
  readonly origin?: SuppressionOrigin;
  readonly sourceId?: string | undefined;
  /** Only the hash of the address is kept. */
  readonly isErased?: boolean;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Suppresses addresses; one that is suppressed already keeps its entry. Returns an id for each, in the order
 * given. `fieldOf` names the field of an address.
 */
export async function addSuppressions(
  context: ServiceContext,
  emails: readonly string[],
  fieldOf: (index: number) => string,
  options: NewSuppressionOptions = {},
): Promise<string[]> {
  const { scope, actor } = context;
  const { origin = 'manual', sourceId = null, isErased = false } = options;
  const keys = await getDataKeys(context);
  const createdAt = Date.now();
  const rows = emails.map((email, index) => {
    const { address } = bareAddressOf(email, fieldOf(index));
    const id = newId('suppression', createdAt);
    const sealedAddress = sealAddress(keys, scope.accountId, id, isErased ? '' : address);
    const addressHash = suppressionHash(keys, address);
    return { id, addressHash, sealedAddress, origin, sourceId, createdAt };
  });
  const audit = {
    actor: actorName(actor),
    action: 'suppression.added',
    target: rows.length === 1 ? (rows[0]?.id ?? '') : 'suppressions',
    details: { count: rows.length },
  };
  const found = await store.insertSuppressions(scope, rows, audit);
  const made = new Set(found.filter(({ isNew }) => isNew).map(({ id }) => id));
  await tell(
    context,
    'suppression.added',
    keys,
    rows.filter(({ id }) => made.has(id)),
  );
  const idOf = new Map(found.map(({ addressHash, id }) => [addressHash, id]));
  return rows.map((row) => idOf.get(row.addressHash) ?? row.id);
}

export async function getSuppression(context: ServiceContext, idOrEmail: string): Promise<Suppression> {
  const keys = await getDataKeys(context);
  const key = keyOf(keys, idOrEmail);
  const record = key && (await store.findSuppression(context.scope, key));
  if (!record) throw notFound();
  return opened(context, keys, record);
}

export async function listSuppressions(
  context: ServiceContext,
  page: PageOf & { readonly origin?: SuppressionOrigin | undefined },
): Promise<Page<Suppression>> {
  const keys = await getDataKeys(context);
  const { rows, hasMore } = await store.listSuppressions(context.scope, page);
  return { rows: rows.map((record) => opened(context, keys, record)), hasMore };
}

export async function removeSuppression(context: ServiceContext, idOrEmail: string): Promise<string> {
  const [removed] = await removeSuppressions(context, { ids: [idOrEmail], emails: [idOrEmail] });
  if (removed === undefined) throw notFound();
  return removed;
}

/** Returns the ids of those that were there. What cannot be an id or an address was not. */
export async function removeSuppressions(
  context: ServiceContext,
  { ids, emails }: { readonly ids: readonly string[]; readonly emails: readonly string[] },
): Promise<string[]> {
  const { scope, actor } = context;
  const keys = await getDataKeys(context);
  const addressHashes = emails.flatMap((email) => {
    const parsed = parseMailbox(email);
    return parsed.ok ? [suppressionHash(keys, parsed.mailbox.address)] : [];
  });
  const audit = {
    actor: actorName(actor),
    action: 'suppression.removed',
    target: ids.length === 1 && isId('suppression', ids[0] ?? '') ? (ids[0] ?? '') : 'suppressions',
  };
  const removed = await store.deleteSuppressions(scope, { ids, addressHashes }, audit);
  await tell(context, 'suppression.removed', keys, removed);
  return removed.map(({ id }) => id);
}

/** The log of events, in the shape of the SDK. */
async function tell(
  context: ServiceContext,
  type: 'suppression.added' | 'suppression.removed',
  keys: readonly SealingKey[],
  records: readonly store.SuppressionRecord[],
): Promise<void> {
  const events = records.map((record) => {
    const { id, email, origin, sourceId, createdAt } = opened(context, keys, record);
    const created = new Date(createdAt).toISOString();
    return { type, about: id, data: { id, email, origin, source_id: sourceId, created_at: created } };
  });
  await recordAccountEvents(context, events);
}

/** What takes the place of a sealed address when the person is erased. */
export function erasedAddress(keys: readonly SealingKey[], accountId: string, rowId: string): Uint8Array {
  return sealAddress(keys, accountId, rowId, '');
}

function sealAddress(keys: readonly SealingKey[], accountId: string, rowId: string, address: string) {
  return seal(newestKey(keys), placeOf(accountId, rowId), encoder.encode(address));
}

function keyOf(keys: readonly SealingKey[], idOrEmail: string): store.SuppressionKey | undefined {
  if (isId('suppression', idOrEmail)) return { id: idOrEmail };
  const parsed = parseMailbox(idOrEmail);
  return parsed.ok ? { addressHash: suppressionHash(keys, parsed.mailbox.address) } : undefined;
}

function opened(
  { scope }: ServiceContext,
  keys: readonly SealingKey[],
  { sealedAddress, ...record }: store.SuppressionRecord,
): Suppression {
  const address = unseal(keys, placeOf(scope.accountId, record.id), sealedAddress);
  return { ...record, email: decoder.decode(address) || null };
}

function placeOf(accountId: string, rowId: string) {
  return { accountId, table: 'suppressions', column: 'sealed_address', rowId };
}

function notFound(): AppError {
  return new AppError('not_found', { what: 'Suppression' });
}
