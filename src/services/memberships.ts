/** Contacts on and off lists. */
import { isForeignKeyFault } from '../store/faults.ts';
import * as members from '../store/lists.ts';
import { getDataKeys } from './account-state.ts';
import { mailConfirmations } from './confirmation-mail.ts';
import type { Contact } from './contact-content.ts';
import { contactNotFound, deleteContact, findRecord, getContact, getRecord } from './contacts.ts';
import { joinableLists, listNotFound, pendingIds } from './lists.ts';
import { actorName, type ServiceContext } from './service-context.ts';

/** Returns the id of the contact. */
export async function joinList(context: ServiceContext, idOrEmail: string, listId: string): Promise<string> {
  const { scope, actor } = context;
  const contact = await getContact(context, idOrEmail);
  const { id } = contact;
  const list = await members.findList(scope, listId);
  if (!list) throw listNotFound();
  const [joinable] = await joinableLists(context, [listId], () => 'segment_id');
  const status = joinable?.status ?? 'pending';
  const audit = { actor: actorName(actor), action: 'contact.added_to_list', target: id };
  try {
    await members.insertMember(scope, { listId, contactId: id, status }, audit);
  } catch (error) {
    if (isForeignKeyFault(error)) throw listNotFound();
    throw error;
  }
  await mailConfirmations(context, [contact], pendingIds([{ id: listId, status }]));
  return id;
}

/** Returns the id of the contact, who need not have been on the list. */
export async function leaveList(context: ServiceContext, idOrEmail: string, listId: string): Promise<string> {
  const { scope, actor } = context;
  const { id } = await getRecord(context, await getDataKeys(context), idOrEmail);
  if (!(await members.findList(scope, listId))) throw listNotFound();
  const audit = { actor: actorName(actor), action: 'contact.removed_from_list', target: id };
  await members.deleteMember(scope, { contactId: id, listId }, audit);
  return id;
}

/** The contact, where he is on the list: to callers who know contacts by their list only. */
export async function getMember(
  context: ServiceContext,
  listId: string,
  idOrEmail: string,
): Promise<Contact> {
  const contact = await getContact(context, idOrEmail);
  const [found] = await members.findMemberships(context.scope, contact.id, [listId]);
  if (!found) throw contactNotFound();
  return contact;
}

/** Off the list; who is on no list after that is erased: to such callers, that is to delete him. */
export async function deleteMember(
  context: ServiceContext,
  listId: string,
  idOrEmail: string,
): Promise<void> {
  const { scope, actor } = context;
  const record = await findRecord(context, await getDataKeys(context), idOrEmail);
  if (!record) return;
  const [member] = await members.findMemberships(scope, record.id, [listId]);
  // Erased while he is on it: whoever got an error can ask again.
  if (!member || (await deleteContact(context, record.id, { ifOnlyOn: listId }))) return;
  const audit = { actor: actorName(actor), action: 'contact.removed_from_list', target: record.id };
  await members.deleteMember(scope, { contactId: record.id, listId }, audit);
}
