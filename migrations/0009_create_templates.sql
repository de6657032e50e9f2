-- Templates of emails. What they say, their names and their aliases are sealed under the account's data key; of the
-- alias a keyed hash is there too, to find it by and to keep it unique. A version is never changed once it is
-- written: an edit makes a new one, and a published one stays until another is published.

CREATE TABLE templates (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  alias_hash TEXT,
  sealed_label BLOB NOT NULL,
  draft_version_id TEXT NOT NULL,
  published_version_id TEXT,
  published_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id),
  UNIQUE (account_id, alias_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE template_versions (
  account_id TEXT NOT NULL,
  template_id TEXT NOT NULL,
  id TEXT NOT NULL,
  sealed_content BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, template_id, id),
  FOREIGN KEY (account_id, template_id) REFERENCES templates (account_id, id)
) STRICT, WITHOUT ROWID;
