-- Where an account wants its events sent. Secrets are sealed; during a rotation the old one is used beside the
-- new one until `previous_until`. What happened before `active_since` is not sent by itself.

CREATE TABLE webhooks (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  -- A JSON list of event types; NULL: all of them.
  events TEXT CHECK (events IS NULL OR json_valid(events)),
  status TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
  -- Why the service itself disabled it.
  disabled_reason TEXT,
  sealed_secret BLOB NOT NULL,
  previous_secret BLOB,
  previous_until INTEGER,
  active_since INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;
