-- Broadcasts: what is to be sent to a list. What one says and what it is called are sealed under the account's data key.
-- How far it has come is known by the Outbox of the account, as long as that keeps it; here stands only whether it was
-- handed over, whether it has begun, and how it ended.
-- List and topic are no references: either may be deleted, and the record of what was sent to it stays. They are only
-- ever looked for among the account's own.

CREATE TABLE broadcasts (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  list_id TEXT NOT NULL,
  topic_id TEXT,
  sealed_name BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  -- Grows with every change of this row: what was read is written only over what was read.
  updated_at INTEGER NOT NULL,
  -- From then on it is not changed any more, unless the Outbox knows nothing of it.
  handed_over_at INTEGER,
  -- From then on it is no draft again, whatever the Outbox still knows.
  started_at INTEGER,
  ended_as TEXT CHECK (ended_as IN ('sent', 'canceled', 'failed')),
  scheduled_at INTEGER,
  -- Where its links lead: whoever sends it has no request to take that from.
  origin TEXT,
  -- Of the Idempotency-Key that it was created with, and of what that request said.
  request_hash BLOB,
  request_fingerprint BLOB,
  -- Last, because it may be long, and lists of broadcasts do without.
  sealed_content BLOB NOT NULL,
  PRIMARY KEY (account_id, id),
  UNIQUE (account_id, request_hash)
) STRICT, WITHOUT ROWID;
