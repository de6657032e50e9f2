/**
 * `npm run secrets`: fresh secrets for a deployment, written to `.env.production` and never printed.
 * An existing file stays as it is: a lost master key makes everything sealed under it unreadable.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { completeSettings, freshSecrets } from './local-settings.ts';
import { ROOT } from './wrangler.ts';

const path = join(ROOT, '.env.production');
const existed = existsSync(path);
const { added } = completeSettings(path, freshSecrets());

if (added.length === 0) {
  console.log('.env.production already has its secrets; nothing was changed.');
} else {
  console.log(
    `.env.production ${existed ? 'was completed with' : 'was created with'} ${added.join(' and ')}.`,
  );
  console.log(
    'Keep a copy in a password manager: without MASTER_KEYS the data of a deployment cannot be read.',
  );
}
