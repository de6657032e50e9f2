-- Keys: where from and until when they may be used, and their earlier secrets. Accounts: sealed personal data,
-- registration by themselves, quotas. Only adds; the version of the Worker before this one runs on it.

-- Ranges of addresses in CIDR notation, as a JSON list; empty: from anywhere.
ALTER TABLE api_keys ADD COLUMN allowed_ips TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(allowed_ips));
-- NULL: never.
ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;

-- Secrets that a rotation replaced, each good until its own time.
CREATE TABLE api_key_secrets (
  account_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  valid_until INTEGER NOT NULL,
  PRIMARY KEY (account_id, key_id, hash),
  FOREIGN KEY (account_id, key_id) REFERENCES api_keys (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Codes that let somebody register; only the hash of a code is there. An account says which one it used.
CREATE TABLE invites (
  id TEXT NOT NULL PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Name, address and company, sealed under the account's data key. `name` and `email` are of rows from before.
ALTER TABLE accounts ADD COLUMN sealed_profile BLOB;
-- Keyed by a master key: `<version>:<base64>`. To find an address again, never to read it.
ALTER TABLE accounts ADD COLUMN email_hash TEXT;
ALTER TABLE accounts ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0 CHECK (unconfirmed IN (0, 1));
-- Recipients per UTC day and month. NULL: as the settings say; -1: no limit.
ALTER TABLE accounts ADD COLUMN daily_quota INTEGER CHECK (daily_quota >= -1);
ALTER TABLE accounts ADD COLUMN monthly_quota INTEGER CHECK (monthly_quota >= -1);
ALTER TABLE accounts ADD COLUMN invite_id TEXT REFERENCES invites (id);

-- The index is what makes an invite good for one account.
CREATE UNIQUE INDEX accounts_invite_id ON accounts (invite_id) WHERE invite_id IS NOT NULL;
CREATE INDEX accounts_email_hash ON accounts (email_hash) WHERE email_hash IS NOT NULL;

-- How often something happened to a keyed hash since a time, for limits that no account has yet.
CREATE TABLE event_counts (
  bucket TEXT NOT NULL PRIMARY KEY,
  started_at INTEGER NOT NULL,
  count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
