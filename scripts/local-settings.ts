/**
 * Secrets and settings in a dotenv file that only its owner can read. What stands in the file is never
 * changed: only missing names are added, because a lost master key makes sealed data unreadable.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseEnv } from 'node:util';

const OWNER_ONLY = 0o600;

export type SettingsFile = Readonly<Record<string, string>>;

export function freshSecrets(): Record<'ADMIN_TOKEN' | 'MASTER_KEYS', string> {
  return {
    ADMIN_TOKEN: randomBytes(32).toString('base64url'),
    MASTER_KEYS: `1:${randomBytes(32).toString('base64')}`,
  };
}

/** For a server that delivers to a test inbox on this machine. */
export function localDefaults(): Record<string, string> {
  return {
    ...freshSecrets(),
    ALLOW_PRIVATE_RELAYS: 'true',
    ALLOW_PLAINTEXT_RELAYS: 'true',
    ALLOW_PRIVATE_WEBHOOKS: 'true',
    DNS_RESOLVER_URL: 'none',
    EHLO_NAME: 'localhost',
  };
}

export function readSettings(path: string): SettingsFile {
  const values: Record<string, string> = {};
  if (!existsSync(path)) return values;
  for (const [name, value] of Object.entries(parseEnv(readFileSync(path, 'utf8'))))
    values[name] = value ?? '';
  return values;
}

/** Adds the names that the file lacks; says which ones, and what the file now holds. */
export function completeSettings(
  path: string,
  defaults: Readonly<Record<string, string>>,
): { settings: SettingsFile; added: readonly string[] } {
  const before = readSettings(path);
  const added = Object.keys(defaults).filter((name) => !(name in before));
  if (added.length > 0) {
    mkdirSync(dirname(path), { recursive: true });
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const separator = text === '' || text.endsWith('\n') ? '' : '\n';
    const lines = added.map((name) => `${name}=${defaults[name]}\n`).join('');
    // The mode of writeFile counts only for a new file; an existing one is narrowed before secrets enter it.
    if (existsSync(path)) chmodSync(path, OWNER_ONLY);
    writeFileSync(path, `${text}${separator}${lines}`, { mode: OWNER_ONLY });
  }
  if (existsSync(path)) chmodSync(path, OWNER_ONLY);
  return { settings: { ...defaults, ...before }, added };
}
