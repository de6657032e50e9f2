/** Codes that the operator gives to those who may register. Each is good for one account, until its time is over. */
import { createHash } from 'node:crypto';
import type { Env } from '../env.ts';
import { AppError } from '../errors.ts';
import { newId } from '../ids.ts';
import { isForeignKeyFault } from '../store/faults.ts';
import type { Page, PageOf } from '../store/page.ts';
import * as store from '../store/system/invites.ts';

const CODE_BYTES = 24;

export interface CreatedInvite {
  readonly id: string;
  /** Shown once; only its hash is stored. */
  readonly code: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export async function createInvite(env: Env, validForMs: number): Promise<CreatedInvite> {
  const createdAt = Date.now();
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(CODE_BYTES))).toString('base64url');
  const code = `er_invite_${random}`;
  const invite = { id: newId('invite', createdAt), createdAt, expiresAt: createdAt + validForMs };
  await store.insertInvite(env.DB, { ...invite, hash: hashOf(code) });
  return { ...invite, code };
}

export function listInvites(env: Env, page: PageOf): Promise<Page<store.InviteRecord>> {
  return store.listInvites(env.DB, page);
}

export async function deleteInvite(env: Env, id: string): Promise<void> {
  try {
    if (!(await store.deleteInvite(env.DB, id))) throw new AppError('not_found', { what: 'Invite' });
  } catch (error) {
    if (isForeignKeyFault(error)) throw new AppError('conflict', { reason: 'This invite was used.' });
    throw error;
  }
}

/** Its id; throws where it is not good. */
export async function findInvite(env: Env, code: string | undefined): Promise<string> {
  const id = code === undefined ? undefined : await store.findInvite(env.DB, hashOf(code), Date.now());
  if (id === undefined) throw new AppError('invalid_invite');
  return id;
}

function hashOf(code: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(code).digest());
}
