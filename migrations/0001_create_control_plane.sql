-- The control plane: small, read-mostly rows. Every table starts its key with the account, and every
-- reference between tables carries the account too, so that the database itself refuses a cross-link.
-- Times are milliseconds since the epoch.

CREATE TABLE accounts (
  account_id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
  shards INTEGER NOT NULL DEFAULT 1 CHECK (shards BETWEEN 1 AND 64),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per data key; `wrapped` opens under master key `master_version` only.
CREATE TABLE data_keys (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 65535),
  wrapped BLOB NOT NULL,
  master_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE domains (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'verified')),
  return_path TEXT,
  created_at INTEGER NOT NULL,
  verified_at INTEGER,
  PRIMARY KEY (account_id, id),
  UNIQUE (account_id, name)
) STRICT, WITHOUT ROWID;

-- A key bound to a domain keeps that domain from being deleted: dropping the bond would widen the key.
CREATE TABLE api_keys (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  last_four TEXT NOT NULL,
  permission TEXT NOT NULL CHECK (permission IN ('full_access', 'sending_access')),
  domain_id TEXT,
  created_at INTEGER NOT NULL,
  last_used_on TEXT,
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, domain_id) REFERENCES domains (account_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE relays (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
  tls TEXT NOT NULL CHECK (tls IN ('implicit', 'starttls', 'none')),
  username TEXT,
  sealed_secret BLOB,
  auth TEXT NOT NULL CHECK (auth IN ('auto', 'plain', 'login', 'cram-md5', 'xoauth2')),
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  details TEXT NOT NULL CHECK (json_valid(details)),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;
