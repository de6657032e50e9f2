/** A new master key, for the operator: see docs/master-key.md. */
import { Hono } from 'hono';
import { rewrapDataKeys } from '../../services/rewrap-data-keys.ts';
import type { AppTypes } from '../app-types.ts';

export const adminMasterKeyRoutes = new Hono<AppTypes>().post('/rewrap', async (c) => {
  const { masterVersion, rewrapped, remaining } = await rewrapDataKeys(c.env, c.get('requestId'));
  return c.json({ object: 'master_key', version: masterVersion, rewrapped, remaining });
});
